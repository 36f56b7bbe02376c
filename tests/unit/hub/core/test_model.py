from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core.model import NAME_PATTERN, RosterChange, new_message_id, rfc3339

TIMES = st.integers(0, (1 << 48) - 1)


@given(TIMES)
def test_a_message_id_is_a_ulid_that_carries_its_time(now_ms: int) -> None:
    found = new_message_id(now_ms)
    assert re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", found)
    value = 0
    for character in found[:10]:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert value == now_ms


@given(TIMES, TIMES)
def test_ids_sort_by_time(one: int, other: int) -> None:
    if one < other:
        assert new_message_id(one) < new_message_id(other)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_message_id(1) for _ in range(1000)}) == 1000


def test_what_has_not_happened_has_no_time() -> None:
    assert rfc3339(None) is None
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


def test_names() -> None:
    for good in ("a", "0", "a-b_c", "a" * 63):
        assert NAME_PATTERN.fullmatch(good)
    for bad in ("", "-a", "A", "a" * 64, "a b", "ä", "a\n"):
        assert not NAME_PATTERN.fullmatch(bad)


def test_a_change_of_nothing_is_none() -> None:
    assert not RosterChange().changed
    assert RosterChange(groups_changed=True).changed
