"""The words of the glossary are those of the hub and of the node side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from agent_bus.core import states
from agent_bus_client import api
from agent_bus_mcp.words import terms

ROOT = Path(__file__).resolve().parents[3]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
SETS = {
    "an agent": states.AgentStatus,
    "a delivery's hops": states.HopName,
    "a reported wake": states.WakeEvent,
    "a gateway's kind": states.GatewayKind,
    "the end of a stream (`bye`)": states.ByeReason,
    "a cursor that is of no use (`reset`)": states.ResetReason,
}


@pytest.mark.parametrize(("of", "words"), SETS.items(), ids=SETS)
def test_the_states_of_the_glossary_are_the_hubs(of: str, words: object) -> None:
    (row,) = re.findall(rf"^\| {re.escape(of)} \| (.*) \|$", GLOSSARY, re.MULTILINE)
    assert tuple(re.findall(r"`([\w-]+)`", row)) == get_args(words)


def test_the_states_of_a_node_are_states_of_an_agent() -> None:
    (row,) = re.findall(r"^\| a node \| (.*) \|$", GLOSSARY, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", row)) < set(states.AGENT_STATUSES)


def test_the_node_side_has_the_same_words() -> None:
    def words(of: type[terms.Word]) -> tuple[str, ...]:
        return tuple(word.value for word in of)

    assert words(terms.Presence) == states.AGENT_STATUSES
    assert words(api.WakeEvent) == get_args(states.WakeEvent)
    assert words(api.GatewayKind) == get_args(states.GatewayKind)
    assert set(words(api.ByeReason)) <= set(get_args(states.ByeReason))
    hops = {f"{hop}_at" for hop in get_args(states.HopName)}
    assert hops <= set(words(terms.Stamp))
