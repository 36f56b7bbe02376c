"""`GET /api/hubs` of several hubs on one database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.hubs import hubs_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess


def listed(hub: HubProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = hub.client("n1").get("/api/hubs").body["hubs"]
    return found


def test_each_hub_tells_of_all_and_of_one_that_was_killed(tmp_path: Path) -> None:
    with hubs_in(tmp_path) as hubs:
        for number, hub in enumerate(hubs):
            found = listed(hub)
            assert [one["name"] for one in found] == ["hub0", "hub1"]
            assert [one["ready"] for one in found] == [True, True]
            assert [one["answers"] for one in found] == [number == 0, number == 1]
            assert found[0]["version"] == found[1]["version"]
            assert found[1 - number]["last_seen_at"]
        hubs[0].hang_up()
        hubs[0].kill()
        wait_until(lambda: listed(hubs[1])[0]["ready"] is False, "the other one is missed")
        assert listed(hubs[1])[1]["ready"] is True
