import pytest


@pytest.fixture(autouse=True)
def own_engine_cache(tmp_path, monkeypatch):
    """No test touches the user's engines."""
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(tmp_path / "engines"))
