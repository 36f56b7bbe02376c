from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client.errors import StreamError
from agent_bus_client.hub import sse


def parse(raw: bytes, *, cuts: list[int] | None = None) -> tuple[list[sse.Event], sse.Parser]:
    parser = sse.Parser()
    places = sorted({min(cut, len(raw)) for cut in cuts or []} | {0, len(raw)})
    events = []
    for start, end in pairwise(places):
        events += parser.feed(raw[start:end])
    return events, parser


def reference(raw: bytes) -> tuple[list[sse.Event], str, int | None]:
    """The standard's algorithm, written over the whole text at once."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.split("\r\n|\r|\n", text)
    events, data, kind, buffer_id, last_id, retry = [], "", "", "", "", None
    for line in lines:
        if not line:
            last_id = buffer_id
            if data:
                events.append(sse.Event(kind or "message", data[:-1], last_id, retry))
            data = kind = ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            buffer_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events, last_id, retry


LINES = st.one_of(
    st.sampled_from([b"data: x", b"data:", b"data", b": note", b"id: e-1", b"id: a\0b", b"id"]),
    st.sampled_from(
        [b"event: hello", b"event", b"retry: 250", b"retry: 2x", b"\xef\xbb\xbfdata: y"]
    ),
    st.sampled_from(
        [b"", b"", "data: \u00e9\u20ac\U0001f600".encode(), b"data:  two", b"other: 1"]
    ),
    st.binary(max_size=12).filter(lambda raw: b"\r" not in raw and b"\n" not in raw),
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(
    lambda pairs: b"".join(line + end for line, end in pairs)
)


@given(STREAMS, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_what_the_standard_says(raw: bytes, cuts: list[int]) -> None:
    events, parser = parse(raw, cuts=cuts)
    expected, last_id, retry = reference(raw)
    assert events == expected
    assert parser.last_event_id == last_id
    assert parser.retry_ms == retry


@given(STREAMS)
def test_byte_by_byte_equals_all_at_once(raw: bytes) -> None:
    assert parse(raw, cuts=list(range(len(raw))))[0] == parse(raw)[0]


def test_a_frame_with_only_an_id_moves_the_place_and_fires_nothing() -> None:
    events, parser = parse(b"retry: 1000\nid: e-7\n\n")
    assert events == []
    assert parser.last_event_id == "e-7"
    assert parser.retry_ms == 1000


def test_an_id_counts_only_once_its_event_is_complete() -> None:
    _, parser = parse(b"id: e-7\n\nid: e-8\ndata: half")
    assert parser.last_event_id == "e-7"


def test_an_event_without_end_stops_the_stream_instead_of_eating_the_memory() -> None:
    parser = sse.Parser()
    for _ in range(sse.MAX_EVENT_BYTES // 65536):
        parser.feed(b"x" * 65536)
    with pytest.raises(StreamError):
        parser.feed(b"x")


def test_many_small_events_never_hit_the_limit() -> None:
    parser = sse.Parser()
    frame = b"id: e-1\ndata: " + b"x" * 65536 + b"\n\n"
    assert sum(len(parser.feed(frame)) for _ in range(100)) == 100
