from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent_bus_client.outbox.delivery import new_key

if TYPE_CHECKING:
    import pytest


def test_newer_keys_stand_behind_older_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for later_ns in (0, 1_000_000, 60 * 10**9, 10**18):
        monkeypatch.setattr(
            time, "time_ns", lambda later_ns=later_ns: 1_790_000_000 * 10**9 + later_ns
        )
        keys.append(new_key())
    assert keys == sorted(keys)


def test_keys_of_one_moment_differ() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000
