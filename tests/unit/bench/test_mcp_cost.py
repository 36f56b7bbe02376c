from __future__ import annotations

import pytest

from bench.mcp_cost import Comparison, Side, goals


@pytest.mark.parametrize(
    ("usual", "mcp", "name", "verdict"),
    [
        (1000.0, 99.0, "stdio", "reached"),
        (1000.0, 101.0, "stdio", "missed"),
        (200.0, 299.0, "HTTP", "reached"),
        (200.0, 301.0, "HTTP", "missed"),
    ],
)
def test_a_tenth_on_the_agents_side_and_half_as_much_again_at_the_hub(
    usual: float, mcp: float, name: str, verdict: str
) -> None:
    rounds = [9999.0, mcp, 0.0]  # the median counts
    (goal,) = goals([Comparison("send", Side("usual", [usual]), Side(name, rounds))])
    assert goal.verdict == verdict
