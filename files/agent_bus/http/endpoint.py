"""An endpoint: the function that answers a call, with the models of what the call may carry.

The functions below make one of both, so that the type checker sees that a function is given the
models that it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from agent_bus.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_bus.http.call import Answer, Call, Done

Query = TypeVar("Query", bound=BaseModel)
Body = TypeVar("Body", bound=BaseModel)
AnyFunction: TypeAlias = "Callable[[Call[Any, Any]], Answer]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Made by the functions below.

    Attributes:
        answer: what answers a call.
        query: the model of the query parameters; None for a call that takes none.
        body: the model of the body; None for a call that ignores whatever body comes.
        body_is_optional: without a body, the model's defaults hold.
        body_is_form: the body is a form's, not JSON.
        is_raw: the function reads parameters and body itself; the body is bytes.
        admin_body_bytes: what a body from the admin token may have, where that is more than the
            hub's limit.
        begin: begins to answer a call in the loop itself, for those that come often; it must not
            wait, and raises `greenlets.MustWaitError` where it would have to.
    """

    answer: AnyFunction
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_is_optional: bool = False
    body_is_form: bool = False
    is_raw: bool = False
    admin_body_bytes: int = 0
    begin: Callable[[Call[Any, Any], Done], None] | None = None

    def parse_query(self, parameters: Mapping[str, str]) -> BaseModel | None:
        """The query parameters as a model.

        Raises:
            errors.InvalidRequestError: one is unknown, or its value is not allowed.
        """
        if self.is_raw:
            return None
        if self.query is None:
            if parameters:
                name = next(iter(parameters))
                raise errors.InvalidRequestError(
                    f"{name}: this call takes no parameters.", field=name
                )
            return None
        return _valid(self.query, dict(parameters))

    def parse_body(self, raw: bytes) -> BaseModel | bytes | None:
        """The body as a model.

        Raises:
            errors.InvalidRequestError: no JSON, a field is unknown, or its value is not allowed.
        """
        if self.is_raw:
            return raw
        if self.body is None:
            return None
        if self.body_is_form:
            return _valid(self.body, dict(parse_qsl(raw.decode("utf-8", "replace"))))
        if self.body_is_optional and not raw:
            return self.body()
        try:
            # `model_validate_json` does the same, after a look at options that nobody sets here
            found: BaseModel = self.body.__pydantic_validator__.validate_json(raw)
            return found
        except ValidationError as error:
            raise _invalid(error) from error

    def parse_fields(self, fields: Mapping[str, object]) -> BaseModel | None:
        """The body as a model, from JSON that is decoded already.

        Raises:
            errors.InvalidRequestError: see `parse_body`.
        """
        return None if self.body is None else _valid(self.body, dict(fields))


def bare(answer: Callable[[Call], Answer]) -> Endpoint:
    """Neither parameters nor a body."""
    return Endpoint(answer)


def with_raw(
    answer: Callable[[Call[None, bytes]], Answer],
    *,
    begin: Callable[[Call[None, bytes], Done], None] | None = None,
) -> Endpoint:
    """Parameters and a body of another protocol, which the function reads itself."""
    return Endpoint(answer, is_raw=True, begin=begin)


def with_query(query: type[Query], answer: Callable[[Call[Query]], Answer]) -> Endpoint:
    """Query parameters and no body."""
    return Endpoint(answer, query)


def with_body(
    body: type[Body],
    answer: Callable[[Call[None, Body]], Answer],
    *,
    is_optional: bool = False,
    begin: Callable[[Call[None, Body], Done], None] | None = None,
) -> Endpoint:
    """A JSON body and no parameters."""
    return Endpoint(answer, None, body, body_is_optional=is_optional, begin=begin)


def with_form(form: type[Body], answer: Callable[[Call[None, Body]], Answer]) -> Endpoint:
    """A form's fields as the body, and no parameters."""
    return Endpoint(answer, None, form, body_is_form=True)


def with_both(
    query: type[Query],
    body: type[Body],
    answer: Callable[[Call[Query, Body]], Answer],
    *,
    admin_body_bytes: int = 0,
) -> Endpoint:
    """Query parameters and a JSON body."""
    return Endpoint(answer, query, body, admin_body_bytes=admin_body_bytes)


def _valid(model: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> errors.InvalidRequestError:
    """The first fault of a validation, in words, with the field's path."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"] if not _is_union_tag(part)) or None
    text = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = "there is no such field or parameter"
    return errors.InvalidRequestError(f"{name or 'body'}: {text}.", field=name)


def _is_union_tag(part: object) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "list"})
