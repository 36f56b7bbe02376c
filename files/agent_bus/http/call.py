"""What an endpoint gets and answers, free of any web framework.

`app.py` makes a `Call` from each request and a response from each `Answer`; endpoints are plain
functions between the two, whatever route or server they are called by.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from agent_bus.core import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_bus.bus.auth import Principal

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request.

    `query` has one value a name, `headers` lower-case names, `path` the variable parts of the
    path. `socket` is the peer's, None where the server gives none, as for a plain send; `address`
    and `scheme` are the peer's, as far as the server knows them.
    """

    principal: Principal
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    path: Mapping[str, str] = field(default_factory=dict)
    socket: Any = None
    address: str = ""
    scheme: str = "http"

    def parse_query(self, model: type[Model]) -> Model:
        """The query parameters as a model.

        Raises:
            errors.InvalidRequestError: one is unknown, or its value is not allowed.
        """
        try:
            return model.model_validate(dict(self.query))
        except ValidationError as error:
            raise invalid(error) from error

    def parse_body(self, model: type[Model]) -> Model:
        """The JSON body as a model.

        Raises:
            errors.InvalidRequestError: no JSON, a field is unknown, or its value is not allowed.
        """
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise invalid(error) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer; `raw` bytes of another type, or a stream of `frames`, when set."""

    status: int
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: Iterable[bytes] | None = None
    raw: bytes | None = None


def invalid(error: ValidationError) -> errors.InvalidRequestError:
    """The first fault of a validation, in words, with the field's path."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"] if not _is_union_tag(part)) or None
    text = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = "there is no such field or parameter"
    return errors.InvalidRequestError(f"{name or 'body'}: {text}.", field=name)


def _is_union_tag(part: object) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "list"})


def encode_cursor(scope: str, *position: int) -> str:
    """An opaque cursor: where a page ended, and for which query."""
    return base64.urlsafe_b64encode(json.dumps([scope, *position]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, scope: str, width: int) -> tuple[int, ...]:
    """The `width` numbers of a cursor that was made for the same `scope`.

    Raises:
        errors.InvalidCursorError: not ours, or of another query.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidCursorError from error
    if not isinstance(found, list) or len(found) != width + 1 or found[0] != scope:
        raise errors.InvalidCursorError
    numbers = found[1:]
    if not all(type(number) is int and abs(number) < 1 << 62 for number in numbers):
        raise errors.InvalidCursorError
    return tuple(numbers)
