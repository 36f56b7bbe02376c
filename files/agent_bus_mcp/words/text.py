"""Words for terminals and language models: escaping, ages, fences, cutting.

Times are read without `time.strptime` and `calendar`, which load `locale` and `datetime`: they
would be a tenth of the start of the command line.
"""

from __future__ import annotations

import os
from functools import lru_cache

BODY_BYTES = 8 * 1024  # of one body; `show` has the rest
PAGE_BYTES = 20 * 1024  # an agent's exec tool cuts longer output, and drops its beginning
CUT = "cut at 20 kB: ask for less with --limit, where there is one; --json has all of it"
SUBJECT_BYTES = 160  # in a list; `show` has all of it
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAYS_TO_1970 = 719468  # since 0000-03-01
_JOINERS = "\u200c\u200d"  # several scripts and emoji need them; they hide nothing
_MOST_LEARNED = 10_000
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escape(text: str, *, keep: str = "\n\t") -> str:
    r"""Return the text with control, bidi and other invisible characters as `\\u{..}`."""
    if text.isascii() and text.translate(dict.fromkeys(map(ord, keep))).isprintable():
        return text
    return text.translate(_escapes(keep))


class _Escapes(dict[int, "int | str"]):
    """From a character's number to what stands for it; a table for `str.translate`.

    It learns as it goes, up to a size that all of a language's characters fit in.
    """

    def __init__(self, keep: str) -> None:
        super().__init__()
        self._keep = keep + _JOINERS

    def __missing__(self, number: int) -> int | str:
        """Look a character up for the first time."""
        import unicodedata  # most mail has none of these

        one = chr(number)
        is_hidden = unicodedata.category(one) in _HIDDEN and one not in self._keep
        found: int | str = f"\\u{{{number:x}}}" if is_hidden else number
        if len(self) < _MOST_LEARNED:
            self[number] = found
        return found


@lru_cache(maxsize=4)
def _escapes(keep: str) -> _Escapes:
    return _Escapes(keep)


def line(text: str) -> str:
    """Return the text as one line, for headers."""
    return escape(text, keep="")


def fence(*bodies: str) -> str:
    """Return a mark that none of the bodies can contain, new at each call."""
    while True:
        mark = os.urandom(5).hex()
        if not any(mark in body for body in bodies):
            return mark


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return the longest beginning of at most `limit` bytes, and how many bytes were left out."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= limit:
        return text, 0
    head = raw[:limit].decode("utf-8", "ignore")
    return head, len(raw) - len(head.encode("utf-8", "surrogatepass"))


def parts(text: str, limit: int) -> list[str]:
    """Return the text in parts of at most `limit` bytes, without splitting a character.

    There is at least one part. `limit` must have room for any character: 4 bytes.
    """
    found = []
    while True:
        head, left = cut(text, limit)
        found.append(head)
        if not left:
            return found
        text = text[len(head) :]


def page(words: str, note: str = CUT) -> str:
    """Return the words, cut after a line to `PAGE_BYTES`, with a note if they were cut."""
    if len(words.encode("utf-8", "replace")) <= PAGE_BYTES:
        return words
    head, _ = cut(words, PAGE_BYTES - len(note) - 1)
    return f"{head.rpartition(chr(10))[0]}\n{note}"


def parse_time(stamp: str) -> float:
    """Return the epoch seconds of an RFC 3339 UTC time, with or without a fraction.

    Raises:
        ValueError: it is none.
    """
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    date, _, clock = whole.partition("T")
    year, month, day = (int(word) for word in date.split("-"))
    seconds = _epoch_s(year, month, day, clock)
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)


def parse_http_date(date: str) -> float | None:
    """Return the epoch seconds of a Date header; None for anything else."""
    try:
        _, day, month, year, clock, zone = date.split(" ")
        if zone != "GMT":
            return None
        return float(_epoch_s(int(year), MONTHS.index(month) + 1, int(day), clock))
    except ValueError:
        return None


def _epoch_s(year: int, month: int, day: int, clock: str) -> int:
    """Return the epoch seconds of a day and of `HH:MM:SS`, in UTC.

    Source: "days_from_civil" in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
    There, years begin in March, so that a leap day is the last one.

    Raises:
        ValueError: a part is out of its range.
    """
    hour, minute, second = (int(word) for word in clock.split(":"))
    parts = ((month, 1, 12), (day, 1, 31), (hour, 0, 23), (minute, 0, 59), (second, 0, 60))
    if any(not least <= part <= most for part, least, most in parts):
        raise ValueError(f"not a time: {year}-{month}-{day} {clock}")
    months = (month + 9) % 12
    years = year - (months >= 10)  # noqa: PLR2004 - January and February
    days = years * 365 + years // 4 - years // 100 + years // 400
    days += (months * 153 + 2) // 5 + day - 1 - DAYS_TO_1970
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def ago(stamp: str | None, now: float) -> str:
    """Return, for example, `20 s ago`; `never` without a time stamp."""
    if not stamp:
        return "never"
    return f"{span(max(0.0, now - parse_time(stamp)))} ago"


def span(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    for limit, unit, size in ((90, "s", 1), (90 * 60, "min", 60), (36 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return aligned columns; the cells must be escaped already."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in [head, *rows]]
    return "\n".join(lines)
