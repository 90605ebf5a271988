import pytest

from matdisc.discovery.knowledge import Knowledge
from tests.firstprinciples.made_up import record

ENERGIES = {
    "hcp:Ti": -8.0,
    "bcc:Ti": -7.97,
    "fcc:Al": -3.5,
    "L1_0:Ti,Al": -6.2,
    "B2:Ti,Al": -6.1,
    "D0_19:Ti,Al": -7.2,
    "L1_2:Ti,Al": -7.15,
    "L1_2:Al,Ti": -4.9,
}


@pytest.fixture(scope="session")
def titanium_aluminides():
    return Knowledge([record(key, energy) for key, energy in ENERGIES.items()])
