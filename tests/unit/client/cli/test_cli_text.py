from __future__ import annotations

import calendar
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_mcp.words import text


@given(st.text())
def test_nothing_hidden_is_left_after_escaping(raw: str) -> None:
    for character in text.escape(raw):
        hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert not hidden or character in "\n\t\u200c\u200d"
    assert "\n" not in text.line(raw)


def test_visible_text_stays_as_it_is() -> None:
    plain = "Grüße 世界 👩\u200d💻\n\ttabs"
    assert text.escape(plain) == plain


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(0, 50))
def test_a_cut_is_a_beginning_of_at_most_the_limit(raw: str, limit: int) -> None:
    head, left = text.cut(raw, limit)
    assert raw.startswith(head)
    assert len(head.encode()) <= limit
    assert len(head.encode()) + left == len(raw.encode())


@given(st.text(st.characters(codec="utf-8")), st.integers(4, 20))
def test_parts_are_whole_characters_and_together_the_text(raw: str, limit: int) -> None:
    found = text.parts(raw, limit)
    assert "".join(found) == raw
    assert all(len(part.encode()) <= limit for part in found)


def test_fences_differ_and_are_not_in_the_bodies() -> None:
    first, second = text.fence("body"), text.fence("body")
    assert first != second
    assert len(first) == 10


@pytest.mark.parametrize(
    ("stamp", "now", "words"),
    [
        ("2026-11-20T00:00:00.500Z", 1795132820.5, "20 s ago"),
        ("2026-11-20T00:00:00Z", 1795132800 + 600, "10 min ago"),
        ("2026-11-20T00:00:00Z", 1795132800 + 7200, "2 h ago"),
        ("2026-11-20T00:00:00Z", 1795132800 + 864000, "10 days ago"),
        ("2026-11-20T00:00:10Z", 1795132800, "0 s ago"),
        (None, 0, "never"),
    ],
)
def test_ages_are_said_in_words(stamp: str | None, now: float, words: str) -> None:
    assert text.ago(stamp, now) == words


def test_a_date_header_is_understood() -> None:
    assert text.parse_http_date("Fri, 20 Nov 2026 00:00:00 GMT") == 1795132800
    assert text.parse_http_date("") is None


@given(st.integers(-62_135_596_800, 253_402_300_799))  # the years 1 to 9999
def test_times_are_those_of_the_calendar(seconds: int) -> None:
    year, month, day, hour, minute, second, *_ = parts = time.gmtime(seconds)
    stamp = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
    assert text.parse_time(stamp) == calendar.timegm(parts)
    month_name = calendar.month_abbr[month]
    header = f"Sun, {day:02d} {month_name} {year:04d} {stamp[11:19]} GMT"
    assert text.parse_http_date(header) == seconds


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "soon",
        "2026-11-20",
        "2026-13-20T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T00:61:00Z",
        "2026-11-20T00:00:00+01:00",
    ],
)
def test_what_is_no_time_is_none(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which part is wrong does not matter
        text.parse_time(wrong)
    assert text.parse_http_date(wrong) is None
    assert text.parse_http_date("Fri, 20 Nov 2026 00:00:00 CET") is None


def test_a_page_is_cut_at_the_end_of_a_line_and_says_so() -> None:
    assert text.page("x" * 20_480) == "x" * 20_480
    said = text.page("0123456 ü\n" * 3000)
    assert len(said.encode()) <= 20_480
    assert "cut at 20 kB" in said.rpartition("\n")[2]
    assert said.splitlines()[-2] == "0123456 ü"


def test_tables_line_up() -> None:
    assert text.table(["A", "B"], [["long", "x"], ["y", ""]]) == "A     B\nlong  x\ny"
