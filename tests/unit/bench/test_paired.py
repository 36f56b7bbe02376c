"""Two revisions in turns: ratios are those within a round, and rows may be chosen."""

from __future__ import annotations

import math

import pytest

from bench.paired import Pair, main, quartiles, ratios, table


def test_the_ratio_is_taken_within_each_round() -> None:
    new, old = [50.0, 500.0, 60.0], [100.0, 1000.0, 100.0]  # the second round had a busy machine
    assert ratios(new, old) == (0.5, 0.5, 0.55)


def test_one_round_has_no_spread() -> None:
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_a_round_without_an_old_figure_says_nothing() -> None:
    assert ratios([1.0, 3.0], [0.0, 2.0]) == (1.5, 1.5, 1.5)
    assert all(math.isnan(value) for value in ratios([1.0], [0.0]))


def test_what_was_lost_or_doubled_on_either_side_counts() -> None:
    new, old = {"lost": 1, "doubled": 0}, {"lost": 0, "doubled": 2}
    assert Pair("load", [new], [old]).wrong == 3
    assert Pair("closes", [{"gone_s": 1.0}], [{"gone_s": 10.0}]).wrong == 0


def test_a_table_has_the_figures_that_both_sides_have() -> None:
    pair = Pair("load", [{"server_us": 200.0, "n": 9}], [{"server_us": 500.0, "p50_ms": 1.0}])
    assert table([pair]).splitlines()[1].split() == [
        *("load", "server", "us/msg", "200", "500", "0.40", "0.40", "to", "0.40", "1")
    ]
    assert table([pair], markdown=True).splitlines()[1:] == [
        "|---|---|---|---|---|---|---|",
        "| load | server us/msg | 200 | 500 | 0.40 | 0.40 to 0.40 | 1 |",
    ]


def test_a_row_that_is_not_there_is_named_before_anything_starts() -> None:
    with pytest.raises(SystemExit, match="no such row: speed; there are load, key"):
        main("HEAD", ["load", "speed"], rounds=1, scale=1.0, markdown=False)
