"""Each try of a watcher counts once, and the end of a stream is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bench.crowds import failed_tries
from bench.reconnect import MANY, Restart, Result, goals, most_in_a_second


def line(at: float, event: str = "stream ended") -> str:
    return json.dumps({"at": datetime.fromtimestamp(at, UTC).isoformat(), "event": event})


def test_the_first_line_after_the_hubs_end_is_the_streams_end() -> None:
    log = [
        line(100.0),  # the hub had not begun yet
        line(1000.5),  # the stream ends with the hub
        line(1001.0),
        line(1001.5, "hub refused the stream"),
        line(1002.0, "stream opened"),
        line(2000.5),
        line(2001.0),
    ]
    assert failed_tries(iter(log), [1000.0, 2000.0]) == [100.0, 1001.0, 1001.5, 2001.0]


def test_a_hub_that_ends_twice_before_a_watcher_notices_ends_one_stream() -> None:
    assert failed_tries(iter([line(2000.5), line(2001.0)]), [1000.0, 2000.0]) == [2001.0]


def result(watchers: int, back_s: float, tries: int) -> Result:
    restarts = [
        Restart("kill", 1.0, [9.0], 10.0, 11.0),
        Restart("stop", 5.0, [0.1, back_s], 20.0, 25.0),
    ]
    down = [10.5] * 900  # nobody is there to be burdened
    return Result("now", watchers, restarts, [*down, *([25.5] * tries)])


def test_a_small_fleet_is_judged_by_the_long_outages() -> None:
    assert [goal.verdict for goal in goals(result(9, 1.9, 10_000))] == ["reached"]
    assert [goal.verdict for goal in goals(result(9, 2.1, 1))] == ["missed"]
    assert [goal.verdict for goal in goals(Result("now", 9))] == ["not run"]


def test_a_large_fleet_is_judged_by_all_outages_and_its_busiest_second() -> None:
    verdicts = [goal.verdict for goal in goals(result(MANY, 1.0, 501))]
    assert verdicts == ["missed", "missed"]  # 9 s after the short outage
    assert goals(result(MANY, 1.0, 500))[1].verdict == "reached"


def test_the_busiest_second_may_begin_anywhere() -> None:
    assert most_in_a_second([]) == 0
    assert most_in_a_second([0.0, 0.6, 1.2, 1.5, 1.59, 2.7]) == 4
    assert most_in_a_second([0.0, 1.0]) == 1
