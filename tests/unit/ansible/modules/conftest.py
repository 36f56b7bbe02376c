from __future__ import annotations

import pytest

from tests.support.module import BARE


@pytest.fixture(params=["ansible", "bare"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test's modules with Ansible's library, then as `action_plugins/on_host.py` does."""
    if request.param == "bare":
        monkeypatch.setenv(BARE, "1")
