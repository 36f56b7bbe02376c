"""Ratios are those within a round, and tables show what was measured and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench import report, rows
from bench.targets import Goal
from bench.turns import order


def test_the_ratio_is_taken_within_each_round() -> None:
    new, old = [50.0, 500.0, 60.0], [100.0, 1000.0, 100.0]  # the second round had a busy machine
    assert report.ratios(new, old) == (0.5, 0.5, 0.55)


def test_one_round_has_no_spread() -> None:
    assert report.quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert report.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_a_round_without_an_old_figure_says_nothing() -> None:
    assert report.ratios([1.0, 3.0], [0.0, 2.0]) == (1.5, 1.5, 1.5)
    assert all(math.isnan(value) for value in report.ratios([1.0], [0.0]))


def test_who_is_first_changes_from_round_to_round() -> None:
    sides: dict[str, object] = {"a": 1, "b": 2, "c": 3}
    assert [order(number, sides)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert sorted(order(2, sides)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rounds", "count"),
    [
        ([{"lost": 1, "doubled": 0}, {"lost": 0, "doubled": 2}], 3),
        ([{"gone_s": 1.0}], 0),
        ({"not_run": "no server"}, 0),
    ],
)
def test_what_was_lost_or_doubled_counts(rounds: Any, count: int) -> None:
    assert report.wrong(rounds) == count


def test_a_pair_has_the_figures_that_both_sides_have() -> None:
    sides = {"new": [{"server_us": 200.0, "n": 9}], "old": [{"server_us": 500.0, "p50_ms": 1.0}]}
    _, *lines = report.pairs({"load": sides})
    assert lines == [("load", "server us/msg", "200", "500", "0.40", "0.40 to 0.40", "1")]


def test_a_peer_that_was_not_run_has_a_column_without_figures() -> None:
    sides = {"agent-bus": [{"p50_ms": 1.25}, {"p50_ms": 1.75}], "other": {"not_run": "no server"}}
    assert list(report.compared({"rest": sides})) == [
        ("row", "figure", "agent-bus", "other", "agent-bus / other"),
        ("rest", "p50 ms", "1.5", "-", "-"),
    ]


def test_the_hub_stands_beside_the_first_peer() -> None:
    sides = {"agent-bus": [{"p50_ms": 1.0}], "first": [{"p50_ms": 2.0}], "more": [{"p50_ms": 9.0}]}
    _, line = report.compared({"rest": sides})
    assert line == ("rest", "p50 ms", "1", "2", "9", "0.50")


def test_shapes_have_a_column_for_each_figure_that_some_row_has() -> None:
    found = {"key": [{"server_us": 250.0}], "closes": [{"gone_s": 0.5}]}
    assert list(report.shapes(found)) == [
        ("row", "server us/msg", "descriptors gone, s"),
        ("key", "250", "-"),
        ("closes", "-", "0.5"),
    ]


def test_growth_lists_figures_of_any_depth() -> None:
    times = {"n": 9, "lost": 0, "doubled": 0, "p50_ms": 1.5, "p99_ms": 2.0, "max_ms": 9.0}
    found = {"depth": {"1000": {"inbox": times}}, "recovery": {"ready_s": 1.25}}
    _, *lines = report.growth(found)
    assert lines == [
        ("depth", "1000", "inbox p50 1.5, p99 2 ms"),
        ("recovery", "ready_s", "1.25"),
    ]
    assert list(report.growth({"senders": {"1": times}}))[1][2] == "p50 ms 1.5; p99 ms 2"


def test_a_table_is_padded_or_markdown() -> None:
    lines = [("goal", "found"), ("a long one", "1")]
    assert report.render(lines, markdown=False) == "goal        found\na long one  1"
    assert report.render(lines, markdown=True) == (
        "| goal | found |\n|---|---|\n| a long one | 1 |"
    )
    goal = Goal("load", ">= 1 x", None, 1, is_floor=True)
    assert list(report.verdicts([goal]))[1] == ("load", ">= 1 x", "-", "not run")


def test_a_row_that_is_not_there_is_named() -> None:
    assert rows.chosen([]) == list(rows.ROWS)
    assert [row.name for row in rows.chosen(["rest", "load"])] == ["load", "rest"]
    with pytest.raises(SystemExit, match="no such row: speed; there are load, key"):
        rows.chosen(["load", "speed"])
