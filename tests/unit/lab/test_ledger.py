from __future__ import annotations

from dataclasses import replace

from lab.traffic.ledger import Accepted, Delivery, Heard, Ledger, deliveries_of, judge

MESSAGE = Accepted("http 1", "ada", 100.0)
STORED = Delivery("http 1", "ada", 7, fetched=True)
HEARD = Heard("http 1", "ada", 7)


def test_what_was_stored_heard_and_fetched_once_is_delivered() -> None:
    verdict = judge([MESSAGE], [STORED], [HEARD])
    assert (verdict.accepted, verdict.delivered, verdict.doubled) == (1, 1, [])
    assert verdict.is_good
    assert verdict.words() == ""


def test_each_way_to_lose_a_message_is_named() -> None:
    assert judge([MESSAGE], [], [HEARD]).words() == "1 not stored: http 1 to ada"
    assert judge([MESSAGE], [STORED], []).words() == "1 not on its host's stream: http 1 to ada"
    unfetched = judge([MESSAGE], [replace(STORED, fetched=False)], [HEARD])
    assert unfetched.words() == "1 not fetched: http 1 to ada"
    assert unfetched.delivered == 0
    elsewhere = judge([MESSAGE], [replace(STORED, agent="bert")], [HEARD])
    assert elsewhere.unstored == ["http 1 to ada"]


def test_a_message_stored_twice_is_doubled() -> None:
    verdict = judge([MESSAGE], [STORED, replace(STORED, seq=8)], [HEARD])
    assert verdict.doubled == ["http 1 to ada"]
    assert not verdict.is_good


def test_a_message_that_a_stream_carried_twice_is_doubled() -> None:
    assert judge([MESSAGE], [STORED], [HEARD, HEARD]).doubled == ["http 1 to ada"]


def test_what_was_stored_without_an_answer_is_no_fault() -> None:
    assert judge([], [STORED], [HEARD]).is_good


def test_a_ledger_judges_the_share_of_a_time() -> None:
    early = replace(MESSAGE, body="http 0", at=50.0)
    ledger = Ledger([early, MESSAGE], [STORED], [HEARD])
    assert ledger.verdict(90.0, 110.0).is_good
    assert ledger.verdict().unstored == ["http 0 to ada"]


def test_history_has_a_delivery_for_each_recipient() -> None:
    entries = [
        {"agent": "ada", "seq": 1, "fetched_at": None},
        {"agent": "bert", "seq": 2, "fetched_at": "2026-01-31T12:00:00.000Z"},
    ]
    assert deliveries_of([{"body": "b", "deliveries": entries}]) == [
        Delivery("b", "ada", 1, fetched=False),
        Delivery("b", "bert", 2, fetched=True),
    ]
