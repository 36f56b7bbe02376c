"""The client's words are the API's: held to openapi.json, which a test holds to the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_bus_client import api
from agent_bus_mcp.words import terms
from tests.support.node_side import ROOT

DOCUMENT = json.loads((ROOT / "docs" / "reference" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]


def words(schema: str, field: str) -> set[str]:
    """Return what a field may be; of a field that may be null, what else it may be."""
    described: dict[str, Any] = SCHEMAS[schema]["properties"][field]
    return set(described.get("enum") or described["anyOf"][0]["enum"])


@pytest.mark.parametrize(
    ("shared", "schema", "field"),
    [
        (api.WakeEvent, "WakeReport", "event"),
        (terms.Presence, "AgentEntry", "status"),
        (api.GatewayState, "PresenceAgent", "gateway"),
        (api.GatewayKind, "PresenceBody", "gateway_kind"),
        (api.GatewayKind, "NodeEntry", "gateway_kind"),
        (terms.Priority, "SendBody", "priority"),
    ],
)
def test_the_words_are_those_of_the_api(shared: type[terms.Word], schema: str, field: str) -> None:
    assert {word.value for word in shared} == words(schema, field)


def test_a_message_reaches_an_agent_as_it_is_or_wakes_nobody() -> None:
    assert {*map(str, terms.Presence), terms.STORM} == words("SentTo", "reachability")


def test_the_stamps_are_fields_of_a_timeline() -> None:
    assert {stamp.value for stamp in terms.Stamp} < set(SCHEMAS["FullTimeline"]["properties"])


def test_the_events_of_a_stream_are_those_of_the_api() -> None:
    described = {name.removesuffix("Event").lower() for name in SCHEMAS if name.endswith("Event")}
    assert {event.value for event in api.StreamEvent} == described - {"receipt"}  # for senders


def test_the_reasons_of_a_bye_are_some_of_the_apis() -> None:
    assert {reason.value for reason in api.ByeReason} < words("ByeEvent", "reason")


def test_the_problems_are_some_of_the_apis() -> None:
    page = (ROOT / "docs" / "reference" / "problems.md").read_text(encoding="utf-8")
    assert all(f"`{problem}`" in page for problem in api.Problem)


def test_a_word_is_its_text_on_every_python() -> None:
    word = terms.Presence.GATEWAY_DOWN
    assert (word, str(word), f"{word}") == ("gateway-down",) * 3
    assert f"{word:>14}" == "  gateway-down"
    assert json.dumps({word: word}) == '{"gateway-down": "gateway-down"}'
    assert {"gateway-down": 1}[word] == 1
