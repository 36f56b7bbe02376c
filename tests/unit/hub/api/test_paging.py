"""Cursors lead back to where a page ended, for the same question only."""

from __future__ import annotations

import pytest

from agent_bus.api.paging import RENDERED_AT_ONCE, decode_cursor, encode_cursor, page
from agent_bus.core import errors
from agent_bus.http.application import encode


def test_a_cursor_holds_its_numbers() -> None:
    cursor = encode_cursor("inbox alpha", 2, 1 << 40)
    assert cursor.isascii()
    assert decode_cursor(cursor, "inbox alpha", 2) == (2, 1 << 40)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "\u00e9",
        encode_cursor("inbox beta", 2, 7),
        encode_cursor("inbox alpha", 2),
        encode_cursor("inbox alpha", 2, 7, 1),
        encode_cursor("inbox alpha", 2, 1 << 62),
        encode_cursor("inbox alpha", 2, True),
    ],
)
def test_any_other_text_is_no_cursor(cursor: str) -> None:
    with pytest.raises(errors.InvalidCursorError):
        decode_cursor(cursor, "inbox alpha", 2)


@pytest.mark.parametrize("rows", [1, RENDERED_AT_ONCE + 1])
def test_short_and_long_pages_are_the_same_json(rows: int) -> None:
    answer = page({"unread": rows}, range(rows), lambda row: {"n": row})
    told = ",".join(f'{{"n":{n}}}' for n in range(rows))
    assert encode(answer) == f'{{"unread":{rows},"messages":[{told}]}}'.encode()
