"""A storm over several hubs: each sees a part, all hold it, and one release lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hubs import hubs_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import HubProcess

LIMITS: dict[str, Any] = {
    "storm_turns": 12,
    "storm_repeats": 6,
    "storm_more": 2,
    "storm_spacing_s": 3600,
    "storm_window_s": 10,
}


@pytest.fixture
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    with hubs_in(tmp_path_factory.mktemp("hubs"), count=3, **LIMITS) as three:
        yield three


def levels(hub: HubProcess) -> list[tuple[str, str]]:
    found = hub.client(None).get("/api/storms").body["storms"]
    return [(one["key"], one["level"]) for one in found]


def answer_each_other(hubs: list[HubProcess], count: int, *, body: str = "", chain: bool) -> None:
    """Gamma sends through the last hub and delta through the first, whose watchers are elsewhere:
    so no hub but by what others tell sees both directions."""
    ways = (("n2", "gamma", "delta", hubs[2]), ("n3", "delta", "gamma", hubs[0]))
    clients = [hub.client(node) for node, _, _, hub in ways]
    last: str | None = None
    for number in range(count):
        _, sender, to, _ = ways[number % 2]
        more = {"reply_to": last} if chain and last else {}
        sent = clients[number % 2].send(body or f"number {number}", to=to, **more)
        assert sender
        last = sent["id"]
        if [level for _, level in levels(hubs[number % 2])] == ["held"]:
            return


def test_a_pair_over_hubs_is_held_at_all_of_them_and_told_of_once(
    hubs: list[HubProcess],
) -> None:
    gamma, delta = (
        hubs[0].stream("n2", "role=watcher"),
        hubs[1].stream("n3", "role=watcher"),
    )
    gamma.of_type("hello")
    delta.of_type("hello")
    answer_each_other(hubs, 60, chain=False)
    for hub in hubs:
        wait_until(lambda hub=hub: levels(hub) == [("delta,gamma", "held")], "the hold")  # type: ignore[misc]
    sent = hubs[1].client("n2").send("once more", to="delta")
    assert sent["recipients"][0]["reachability"] == "storm"
    event = delta.of_type("message")
    while event.data["id"] != sent["id"]:
        event = delta.of_type("message")
    assert event.data["wake"] == "held"

    def notices() -> list[Any]:
        page = hubs[1].client(None).get("/api/inbox?agent=operator&limit=50").body["messages"]
        return [one for one in page if one["from_agent"] == "bus"]

    wait_until(notices, "the notice")
    released = hubs[1].client(None).post("/api/storms/release", {"what": "gamma,delta"})
    assert released.status == 200
    for hub in hubs:
        wait_until(lambda hub=hub: levels(hub) == [], "the release")  # type: ignore[misc]
    assert len(notices()) == 1


def test_a_thread_over_hubs_that_repeats_itself_is_held(hubs: list[HubProcess]) -> None:
    answer_each_other(hubs, 40, body="Thank you very much, noted!", chain=True)
    for hub in hubs:
        wait_until(lambda hub=hub: [one[1] for one in levels(hub)][:1] == ["held"], "the hold")  # type: ignore[misc]


def test_a_hub_that_starts_later_knows_what_is_held(hubs: list[HubProcess]) -> None:
    answer_each_other(hubs, 60, chain=False)
    wait_until(lambda: levels(hubs[1]) == [("delta,gamma", "held")], "the hold")
    client = hubs[0].client(None)
    wait_until(lambda: client.get("/api/inbox?agent=operator").body["messages"], "the notice")
    hubs[1].stop()
    hubs[1].start()
    assert levels(hubs[1]) == [("delta,gamma", "held")]
