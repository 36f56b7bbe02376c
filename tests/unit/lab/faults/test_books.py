from __future__ import annotations

from dataclasses import replace

from lab.faults.hubs.books import (
    SKIPPED,
    Heard,
    Sent,
    Stored,
    Turn,
    disturbed,
    judge,
    longest_pause,
    moved_after,
)

SENT = Sent("body 1", "ada", "m1", "elm", 100.0, 1)
STORED = Stored("m1", "body 1", "ada", 7)
HEARD = Heard("elm from fir", "m1", "ada", 7)
LISTENERS = {"elm from fir": ("ada",)}
NEXT = Stored("m2", "body 2", "ada", 8)
NEXT_HEARD = Heard("elm from fir", "m2", "ada", 8)


def test_what_was_stored_and_heard_once_in_order_is_good() -> None:
    verdict = judge([SENT], [STORED, NEXT], [HEARD, NEXT_HEARD], LISTENERS)
    assert verdict.words() == ""
    assert verdict.accepted == 1


def test_an_accepted_message_that_is_not_stored_is_lost_and_so_is_one_that_was_not_heard() -> None:
    assert judge([SENT], [NEXT], [NEXT_HEARD], LISTENERS).lost == [
        "body 1 to ada",
        "m1 at elm from fir",
    ]
    assert judge([SENT], [STORED], [], LISTENERS).lost == ["m1 at elm from fir"]


def test_a_body_under_two_ids_and_a_message_heard_twice_are_doubled() -> None:
    again = replace(NEXT, body="body 1")
    assert judge([SENT], [STORED, again], [HEARD, NEXT_HEARD], LISTENERS).doubled == ["body 1"]
    assert judge([SENT], [STORED], [HEARD, HEARD], LISTENERS).doubled == ["m1 at elm from fir"]


def test_a_missing_seq_is_a_gap_except_for_what_a_takeover_leaves_out() -> None:
    later = replace(NEXT, seq=9)
    heard = [HEARD, replace(NEXT_HEARD, seq=9)]
    assert judge([SENT], [STORED, later], heard, LISTENERS).gaps == ["seq 7 to 9 stored"]
    later = replace(NEXT, seq=8 + 2 * SKIPPED)
    heard = [HEARD, replace(NEXT_HEARD, seq=8 + 2 * SKIPPED)]
    assert judge([SENT], [STORED, later], heard, LISTENERS).words() == ""


def test_what_a_stream_left_out_is_a_gap_whoever_sent_it() -> None:
    last = Stored("m3", "body 3", "ada", 9)
    heard = [HEARD, Heard("elm from fir", "m3", "ada", 9)]
    assert judge([SENT], [STORED, NEXT, last], heard, LISTENERS).gaps == ["seq 8 at elm from fir"]


def test_a_stream_that_goes_back_is_out_of_order() -> None:
    verdict = judge([SENT], [STORED, NEXT], [NEXT_HEARD, HEARD], LISTENERS)
    assert verdict.disorder == ["7 after 8 at elm from fir"]
    assert "out of order" in verdict.words()


def test_what_was_heard_and_is_stored_no_more_is_a_phantom() -> None:
    verdict = judge([], [STORED], [HEARD, NEXT_HEARD], LISTENERS)
    assert verdict.phantoms == ["m2 at elm from fir"]


def test_the_longest_pause_counts_the_ends() -> None:
    times = [replace(SENT, at=at) for at in (10.0, 12.0, 13.0)]
    assert longest_pause(times, 9.0, 13.5) == 2.0
    assert longest_pause(times, 9.0, 20.0) == 7.0
    assert longest_pause([], 9.0, 20.0) == 11.0


def test_clients_have_moved_when_the_last_one_has_a_stream_elsewhere() -> None:
    turns = [
        Turn("a", "elm", 1.0),
        Turn("b", "fir", 1.0),
        Turn("c", "elm", 1.0),
        Turn("a", "elm", 10.1, "gone"),
        Turn("a", "fir", 10.5),
        Turn("c", "elm", 10.1, "gone"),
        Turn("c", "elm", 11.0),
        Turn("c", "gorse", 12.0),
    ]
    assert moved_after(turns, ("elm",), 10.0, 20.0) == 2.0
    assert moved_after(turns, ("elm",), 10.0, 11.5) is None
    assert moved_after(turns, ("gorse",), 10.0, 20.0) is None


def test_a_stream_that_ended_at_another_hub_was_disturbed_unless_it_was_renewed() -> None:
    ends = [
        Turn("a", "elm", 10.1, "gone"),
        Turn("b", "fir", 10.2, "lifetime"),
        Turn("c", "gorse", 10.3, "shutdown"),
        Turn("c", "gorse", 30.0, "shutdown"),
    ]
    assert disturbed(ends, ("elm",), 10.0, 20.0) == [ends[2]]
