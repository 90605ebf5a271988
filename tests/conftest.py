"""What all tests share: the data mirror if there is one, and a deterministic hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

_MIRROR = ROOT.parent / "shared" / "datasets"
if _MIRROR.is_dir():
    os.environ.setdefault("MATDISC_DATA_MIRROR", str(_MIRROR))

# Oversubscribed threads are slower than one, and some sums depend on their number.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

settings.register_profile(
    "matdisc",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("matdisc")
