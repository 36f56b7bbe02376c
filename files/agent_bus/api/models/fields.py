"""The kinds of values that requests and answers are made of: names, texts, times, flags."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from agent_bus.core.model import NAME_PATTERN, RESERVED_NAMES

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic.fields import FieldInfo

EMOJI_JOINED: Final = re.compile(r"(?<=[^\w\s\x00-\x7f\u200d])\u200d(?=[^\w\s\x00-\x7f\u200d])")
"""A ZERO WIDTH JOINER as many emoji have it: between two characters that are no letters."""

PLAIN_LINE: Final = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891"
    r"\u08e2\u180e\u200b-\u200c\u200e-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f"
    r"\ufeff\ufff9-\ufffb]*$"
)
"""`_plain_line` as a regular expression, for the document. The validator alone checks characters
past U+FFFF and where a joiner may stand: not every dialect of regular expressions can say that."""

NUL_IS_NO_TEXT: Final = "contains the character U+0000, which cannot be stored; leave it out"
ESCAPED_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _plain_line(value: str) -> str:
    """Refuse what can hide or reorder text: control, bidi and zero-width characters."""
    for character in EMOJI_JOINED.sub("", value):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} is not allowed here")
    return value


def _text(value: str) -> str:
    """Refuse what is no text: lone surrogates, and U+0000, which not every store can keep."""
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains a lone surrogate") from error
    if "\0" in value:
        raise ValueError(NUL_IS_NO_TEXT)
    return value


@functools.lru_cache(maxsize=4096)
def _agent_name(value: str) -> str:
    """Cached: each message has two names, and a fleet has few."""
    if value != "operator" and (not NAME_PATTERN.fullmatch(value)):
        raise ValueError("must match [a-z0-9][a-z0-9_-]{0,62}")
    return value


def _new_agent_name(value: str) -> str:
    if value in RESERVED_NAMES:
        raise ValueError(f"{value!r} is reserved")
    return _agent_name(value)


def _recipient(value: str) -> str:
    _agent_name(value.removeprefix("@"))
    return value


def _flag(value: object) -> bool:
    """Read 1 and 0, or true and false."""
    found = {"1": True, "true": True, "0": False, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError("must be 1 or 0")
    return found


def _date_time(value: object) -> object:
    """Refuse bare numbers, which pydantic would take for seconds since 1970."""
    if not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise ValueError("must be like 2026-01-31T12:00:00Z")
    return value


def _whole(value: object) -> object:
    """Take 60.0 for 60: JSON knows one kind of number, and some clients write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def portable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what Python's JSON takes and others do not: wild numbers, and U+0000."""
    try:
        found = json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("holds a number that JSON cannot carry") from error
    if ESCAPED_NUL.search(found):
        raise ValueError(NUL_IS_NO_TEXT)
    return value


def _pattern(expression: str) -> FieldInfo:
    """Tell the document what a validator checks with a better message than a pattern's."""
    return Field(json_schema_extra={"pattern": expression})  # type: ignore[no-any-return]


Name = Annotated[str, AfterValidator(_agent_name), _pattern(f"^{NAME_PATTERN.pattern}$")]
NewName = Annotated[
    str,
    AfterValidator(_new_agent_name),
    _pattern(rf"^(?!(?:{'|'.join(sorted(RESERVED_NAMES))})$){NAME_PATTERN.pattern}$"),
]
Recipient = Annotated[str, AfterValidator(_recipient), _pattern(f"^@?{NAME_PATTERN.pattern}$")]
Ulid = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, AfterValidator(_text), _pattern(r"^[^\u0000]*$")]
Line = Annotated[str, Field(max_length=200), AfterValidator(_plain_line), _pattern(PLAIN_LINE)]
Node = Annotated[
    str,
    Field(min_length=1, max_length=253),
    AfterValidator(_plain_line),
    _pattern(PLAIN_LINE),
]
"""How a gateway starts the turns that it is woken for, as far as a watcher has seen."""
DateTime = Annotated[AwareDatetime, BeforeValidator(_date_time)]
Cursor = Annotated[str, Field(max_length=500, pattern=r"^[A-Za-z0-9_-]*$")]
WHOLE: Final = BeforeValidator(_whole)
Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"type": "string", "enum": ["0", "1", "false", "true"]}),
]


class StrictModel(BaseModel):
    """A JSON body: no field that is not described, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class QueryModel(BaseModel):
    """Query parameters: none that is not described; values are text, and read as their type."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def milliseconds(value: datetime | None) -> int | None:
    """A time as milliseconds since 1970; None for None."""
    return None if value is None else int(value.timestamp() * 1000)
