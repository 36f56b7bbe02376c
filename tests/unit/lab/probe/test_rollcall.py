from __future__ import annotations

from typing import Any

from lab.probe import rollcall
from lab.probe.rollcall import Letter, Outcome


def test_each_agent_is_written_to_once_from_another_host() -> None:
    agents = {"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1", "c2"]}
    found = rollcall.letters(agents)
    assert [letter.recipient for letter in found] == ["a1", "a2", "a3", "b1", "c1", "c2"]
    for letter in found:
        assert letter.recipient in agents[letter.host]
        assert letter.sender in agents[letter.sender_host]
        assert letter.host != letter.sender_host


def test_a_fleet_of_one_host_writes_to_itself() -> None:
    found = rollcall.letters({"only": ["x", "y"]})
    assert [(letter.sender, letter.recipient) for letter in found] == [("x", "x"), ("y", "y")]


LETTER = Letter("b1", "b", "a1", "a")
SENT = {"at": 100.0, "id": "M", "error": ""}
STAMPS = {"a1": {"stored_at": "1970-01-01T00:01:40.050Z", "pushed_at": "1970-01-01T00:01:40.052Z"}}


def outcome(wakes: dict[str, list[dict[str, Any]]], sent: dict[str, Any]) -> Outcome:
    return rollcall._outcome(LETTER, sent, STAMPS, wakes)


def test_the_times_of_each_hop() -> None:
    found = outcome({"a": [{"agent": "a1", "at": 100.055}], "b": []}, SENT)
    assert found.trouble == ""
    times = (found.committed_ms, found.pushed_ms, found.woken_ms)
    assert [round(ms or -1) for ms in times] == [50, 2, 3]


def test_no_wake_a_wake_elsewhere_and_a_refused_send_are_trouble() -> None:
    home: dict[str, Any] = {"agent": "a1", "at": 100.055}
    assert "not woken" in outcome({"a": [], "b": []}, SENT).trouble
    assert outcome({"a": [home], "b": [home]}, SENT).trouble == "was also woken on b"
    refused = {"at": 100.0, "id": None, "error": "the hub is away"}
    assert "the hub is away" in outcome({"a": [], "b": []}, refused).trouble


def test_the_table_has_a_row_for_each_agent_and_one_for_medians() -> None:
    outcomes = [
        Outcome(LETTER, 50.0, 2.0, 3.0, ""),
        Outcome(LETTER, 70.0, None, None, "was not woken"),
    ]
    lines = rollcall.table(outcomes).splitlines()
    assert len(lines) == 4
    assert lines[1].split() == ["a1", "a", "b1", "50.0", "ms", "2.0", "ms", "3.0", "ms"]
    assert lines[3].split() == ["median", "70.0", "ms", "2.0", "ms", "3.0", "ms"]
