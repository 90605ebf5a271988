import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the feature cache of the user."""
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"
