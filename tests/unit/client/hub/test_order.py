"""In which order nodes try the hubs: always the same, and evenly spread."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client.hub.order import WORD, ordered, weight

if TYPE_CHECKING:
    from random import Random

HUBS = ["http://192.168.1.20:8091", "http://192.168.1.21:8091", "http://192.168.1.22:8091"]
NODES = [f"node-{number}" for number in range(1000)]


@given(st.text(), st.lists(st.text(), unique=True), st.randoms())
def test_the_order_of_the_list_does_not_matter(node: str, hubs: list[str], dice: Random) -> None:
    mixed = list(hubs)
    dice.shuffle(mixed)
    assert ordered(node, mixed) == ordered(node, hubs)
    assert sorted(ordered(node, hubs)) == sorted(hubs)
    assert all(0 <= weight(node, hub) <= WORD for hub in hubs)


def test_the_order_is_the_same_in_every_release_and_on_every_machine() -> None:
    """A change would move whole fleets at their next upgrade."""
    assert ordered("nuc-office", HUBS) == (HUBS[1], HUBS[0], HUBS[2])
    assert weight("nuc-office", HUBS[0]) == 1389348131


@pytest.mark.parametrize(
    "hubs",
    [
        HUBS,
        HUBS[:2],
        [f"https://hub{number}.example:8091" for number in range(5)],
        ["http://t440:8091", "http://nuc-office:8091", "http://elitedesk-1:8091"],
    ],
)
def test_a_thousand_nodes_spread_evenly(hubs: list[str]) -> None:
    share = len(NODES) / len(hubs)
    first = Counter(ordered(node, hubs)[0] for node in NODES)
    assert all(0.85 * share < first[hub] < 1.15 * share for hub in hubs), first


def test_a_hub_that_leaves_moves_its_own_nodes_alone_and_evenly() -> None:
    gone, *left = HUBS
    before = {node: ordered(node, HUBS) for node in NODES}
    after = {node: ordered(node, left) for node in NODES}
    own = [node for node in NODES if before[node][0] == gone]
    assert all(after[node] == tuple(u for u in before[node] if u != gone) for node in NODES)
    moved = Counter(after[node][0] for node in own)
    assert all(0.8 * len(own) / 2 < moved[hub] < 1.2 * len(own) / 2 for hub in left), moved
