"""Whether a hub takes itself for well: what systemd's watchdog is fed by."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bus.api.health import Health
from agent_bus.core import errors
from agent_bus.store.cluster import Writing


class AwayStore:
    """A store that cannot be read."""

    def head(self) -> int:
        raise errors.NoPrimaryError


def health(writing: Writing | None) -> Health:
    unused: dict[str, Any] = dict.fromkeys(
        ("vitals", "counters", "directory", "broker", "latency", "alerting", "reserves")
    )
    return Health(
        store=AwayStore(),  # type: ignore[arg-type] # only that is asked
        clock=type("Clock", (), {"monotonic": lambda _: 0.0})(),
        version="v",
        writing=lambda: writing,
        **unused,
    )


@pytest.mark.parametrize(("writing", "is_well"), [(None, False), (Writing(60.0, 3600.0), True)])
def test_a_restart_helps_against_an_unreadable_file_but_not_against_a_database_that_is_away(
    writing: Writing | None, *, is_well: bool
) -> None:
    assert health(writing).is_well() == is_well


def test_a_hub_that_stops_is_not_well() -> None:
    one = health(Writing(0.0, 1.0))
    one.is_stopping = True
    assert not one.is_well()


def test_liveness_says_how_the_hub_writes_without_asking_the_database() -> None:
    call: Any = None
    assert health(Writing(0.5, 12.25)).livez(call).content == {
        "alive": True,
        "version": "v",
        "written_s_ago": 0.5,
        "writing_for_s": 12.25,
    }
    unknown = {"written_s_ago": None, "writing_for_s": None}
    assert health(None).livez(call).content == {"alive": True, "version": "v", **unknown}
