"""Rules about who may write to whom, at two hubs on one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.hubs import hubs_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess

RULES = [{"from": ["gamma"], "to": ["delta"]}]


def test_a_change_counts_at_every_hub_once_it_is_answered(tmp_path: Path) -> None:
    def status(hub: HubProcess) -> int:
        body = {"from": "gamma", "to": "alpha", "body": "x"}
        return hub.client("n2").post("/api/send", body).status

    def seen(hub: HubProcess) -> list[str]:
        listed = hub.client("n2").get("/api/agents").body["agents"]
        return [one["name"] for one in listed]

    with hubs_in(tmp_path) as hubs:
        for number in range(10):
            by = hubs[number % 2]
            assert by.enrol(rights=RULES).status == 200
            assert [status(hub) for hub in hubs] == [403, 403], number
            assert [seen(hub) for hub in hubs] == [["delta", "gamma"]] * 2
            assert by.enrol().status == 200
            assert [status(hub) for hub in hubs] == [201, 201], number
