"""How much of a text has been said before."""

from __future__ import annotations

import pytest

from agent_bus.core.guards.storms.likeness import LOOKED_AT, says_nothing_new, shingles

LONG = (
    "The parser fails when a header has no value, because the index starts at one. I have added a "
    "test for it and moved the check in front of the loop; please look at the second commit."
)
OTHER = (
    "Deploying the release takes the lock for as long as the migration runs. Let us build the new "
    "index concurrently, and swap the tables once it is there."
)


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        (LONG, [LONG]),
        (LONG, [OTHER, LONG.replace("second", "third")]),
        ("Thank you!", ["thank YOU"]),
        ("Thanks, thank you so much!", ["Thank you!", "So much thanks to all."]),
        ("👍", ["👍"]),
        (LONG + " x" * LOOKED_AT + "one end", [LONG + " x" * LOOKED_AT + "another"]),
    ],
)
def test_what_was_said_before_says_nothing_new(text: str, earlier: list[str]) -> None:
    assert says_nothing_new(shingles(text), [shingles(one) for one in earlier])


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        (LONG, []),
        (LONG, [OTHER]),
        ("The test fails on line 40.", ["Thank you!", "Which file?"]),
        ("👍", ["🎉"]),
        (f"> {LONG}\nNo: a header without a value is refused earlier, look at read_line.", [LONG]),
        ("done", [LONG]),
    ],
)
def test_what_is_new_is_new(text: str, earlier: list[str]) -> None:
    assert not says_nothing_new(shingles(text), [shingles(one) for one in earlier])
