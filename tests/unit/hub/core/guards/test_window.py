"""The rolling window, against a plain list of times."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core.guards.window import Window

SPAN_S = 20
STEPS = st.lists(
    st.tuples(
        st.floats(0, 9),  # how much later
        st.floats(0, 25),  # how long ago the wake was, when it is reported
        st.integers(0, 3),  # how many
        st.integers(0, 6),  # the limit
    ),
    max_size=40,
)


@given(STEPS)
def test_it_counts_like_a_plain_list(steps: list[tuple[float, float, int, int]]) -> None:
    window, model, now = Window(SPAN_S), list[int](), 1000.0
    for later, ago, count, limit in steps:
        now += later
        if count:
            window.add(now - ago, count)
            model += [math.ceil(now - ago)] * count
        inside = sorted(second for second in model if second > now - SPAN_S)
        assert window.used(now) == len(inside)
        free = len(inside) < limit
        expected = None if free else inside[-limit] + SPAN_S if limit else math.inf
        assert window.frees_at(now, limit) == expected


@given(st.floats(1000, 2000), st.integers(1, 5))
def test_one_leaves_exactly_when_it_was_said_to(at: float, limit: int) -> None:
    window = Window(SPAN_S)
    window.add(at, limit)
    frees_at = window.frees_at(at, limit)
    assert frees_at is not None
    assert window.frees_at(frees_at - 0.01, limit) == frees_at
    assert window.frees_at(frees_at, limit) is None
