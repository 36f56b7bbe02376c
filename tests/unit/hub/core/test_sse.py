"""What the hub encodes, the node side's parser reads back, however the bytes are split."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core import sse, states, wire
from agent_bus.core.guards.hold import Hold
from agent_bus.core.model import (
    AgentName,
    Delivery,
    MailboxCounts,
    Message,
    MessageId,
    Seq,
    new_message_id,
    rfc3339,
)
from agent_bus_client.hub.sse import Event, Parser

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
CUTS = st.lists(st.integers(0, 3000), max_size=20)


def delivery(body: str, subject: str | None, fields: dict[str, Any] | None, seq: int) -> Delivery:
    message = Message(
        id=new_message_id(1_790_000_000_000),
        first_seq=Seq(seq),
        thread_id=MessageId("0" * 26),
        sender=AgentName("alpha"),
        subject=subject,
        body=body,
        data_json=None if fields is None else sse.compact_json(fields),
        rank=1,
        reply_to=None,
        depth=0,
        created_at=1_790_000_000_000,
        expires_at=None,
    )
    return Delivery(Seq(seq), AgentName("beta"), message)


DELIVERIES = st.builds(
    delivery, TEXT, st.none() | TEXT, st.none() | OBJECTS, st.integers(1, 1 << 62)
)


def frame(of: Delivery) -> bytes:
    return sse.message(event_id=f"e-{of.seq}", json_line=wire.event_line(of))


def parse(raw: bytes, cuts: list[int]) -> tuple[list[Event], Parser]:
    parser, events = Parser(), []
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    for start, end in pairwise(places):
        events += parser.feed(raw[start:end])
    return events, parser


@given(st.lists(DELIVERIES, min_size=1, max_size=4), CUTS)
def test_messages_come_back_whole_for_any_split(sent: list[Delivery], cuts: list[int]) -> None:
    raw = sse.KEEPALIVE.join([b"", *map(frame, sent), b""])
    events, parser = parse(raw, cuts)
    assert [e.type for e in events] == ["message"] * len(sent)
    assert [e.event_id for e in events] == [f"e-{d.seq}" for d in sent]
    assert [json.loads(e.data) for e in events] == [
        {k: v for k, v in wire.delivery(d).items() if k != "expires_at"} for d in sent
    ]
    assert parser.last_event_id == f"e-{sent[-1].seq}"


@given(st.from_regex("[a-z]{1,10}", fullmatch=True), OBJECTS, CUTS)
def test_control_events_carry_no_id_and_nobodys_name(
    name: str, fields: dict[str, object], cuts: list[int]
) -> None:
    fields.pop("to_agent", None)
    raw = sse.hello({}, retry_ms=250, resume_id="e-7") + sse.control(name, fields)
    (hello, event), parser = parse(raw, cuts)
    assert (hello.type, hello.event_id) == ("hello", "e-7")
    assert b"id:" not in sse.control(name, fields)
    assert event.type == name
    assert event.event_id == "e-7"
    assert json.loads(event.data) == {"to_agent": None, **fields}
    assert parser.retry_ms == 250


HOLDS = st.builds(Hold, st.sampled_from(states.HOLD_REASONS), st.none() | st.integers(0, 1 << 41))


@given(st.integers(0, 9), st.integers(0, 1 << 62), st.none() | HOLDS)
def test_counters_look_the_same_in_hello_and_in_an_event_of_their_own(
    unfetched: int, last: int, hold: Hold | None
) -> None:
    of = MailboxCounts(AgentName("beta"), unfetched, unfetched + 1, Seq(last))
    line = wire.mailbox_line(of, hold)
    fields = wire.mailbox(of, hold)
    assert sse.named("mailbox", json_line=line) == sse.control("mailbox", fields)


@given(TEXT, st.none() | TEXT, st.none() | OBJECTS)
def test_a_line_for_many_deliveries_says_of_each_what_is_its_own(
    body: str, subject: str | None, fields: dict[str, Any] | None
) -> None:
    first = delivery(body, subject, fields, 7)
    second = Delivery(Seq(8), AgentName("gamma"), first.message, read_at=1_790_000_000_001)
    line = wire.EventLine(first.message)
    for one in (first, second):
        found = {k: v for k, v in wire.delivery(one).items() if k != "expires_at"}
        assert json.loads(line.to(one)) == found


def test_a_hold_without_an_end_is_told_with_a_time_for_those_who_know_no_holds() -> None:
    box = MailboxCounts(AgentName("beta"), 1, 1, Seq(9))
    told = wire.mailbox(box, Hold(states.PAUSED))
    assert (told["held"], told["muted_until"]) == ("paused", "9999-12-31T23:59:59.000Z")


def test_a_held_delivery_says_so_and_any_other_says_nothing() -> None:
    one = delivery("b", None, None, 7)
    assert json.loads(wire.event_line(one, is_held=True))["wake"] == "held"
    assert "wake" not in json.loads(wire.event_line(one))


def test_every_block_has_data_and_a_keepalive_is_no_block() -> None:
    blocks = [
        sse.hello({}, retry_ms=250, resume_id="e-7"),
        sse.control("wake", {}),
        sse.bye("shutdown", retry_ms=1),
        sse.message(event_id="e-8", json_line="{}"),
    ]
    raw = b"".join(sse.KEEPALIVE + block for block in blocks) + sse.KEEPALIVE
    *whole, rest = raw.split(b"\n\n")
    assert [block.count(b"\ndata: ") for block in whole] == [1] * len(blocks)
    assert rest == sse.KEEPALIVE


@given(DELIVERIES)
def test_a_frame_is_three_lines_for_every_kind_of_line_reader(one: Delivery) -> None:
    raw = frame(one)
    assert raw.count(b"\n") == 3
    assert b"\r" not in raw
    assert len(raw.decode().splitlines()) == 3
    (line,) = [text for text in raw.decode().splitlines() if text.startswith("data:")]
    assert json.loads(line[5:])["body"] == one.message.body


def test_bye_says_when_to_come_back() -> None:
    (event,), parser = parse(sse.bye("shutdown", retry_ms=1234), [])
    assert (event.type, json.loads(event.data)["reason"]) == ("bye", "shutdown")
    assert parser.retry_ms == 1234


def test_the_counters_name_the_newest_delivery_only_while_something_waits() -> None:
    box = MailboxCounts(AgentName("beta"), 2, 3, Seq(9))
    assert wire.mailbox(box, None)["max_unfetched_seq"] == 9
    empty = MailboxCounts(AgentName("beta"), 0, 3, Seq(9))
    assert wire.mailbox(empty, None)["max_unfetched_seq"] is None


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_rfc3339_in_utc_with_milliseconds(at_ms: int) -> None:
    from datetime import datetime

    text = rfc3339(at_ms)
    assert text is not None
    assert text.endswith("Z")
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == at_ms
