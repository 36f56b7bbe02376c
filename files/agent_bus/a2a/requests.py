"""What A2A requests may hold, in versions 1.0 and 0.3; unknown fields are passed over."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agent_bus.a2a.faults import INVALID_PARAMS, A2AError
from agent_bus.api.models.fields import DateTime
from agent_bus.core import states

Model = TypeVar("Model", bound="Params")

OWN: Final = "agent-bus"
"""The key of a message's metadata under which the bus's own options stand."""
MOST_PARTS: Final = 100
MOST_TASKS: Final = 100
"""A2A's own limit for a page."""
DEFAULT_TASKS: Final = 50


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable characters")
    return value


Id = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
Length = Annotated[int, Field(ge=0, le=1_000_000)]


class Params(BaseModel):
    """Fields in camel case; JSON of protobuf also takes the other way, and null for "not set"."""

    model_config = ConfigDict(
        extra="ignore", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class Part(Params):
    """A text, data, or a file; 0.3 names the kind, 1.0 has one of the fields."""

    kind: str | None = None
    text: str | None = None
    data: Any = None
    raw: Any = None
    url: Any = None
    file: Any = None


class Options(BaseModel):
    """What the bus's own senders may say, too; a typing error is refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    subject: str | None = None
    priority: states.Priority = "normal"
    expires_in_s: int | None = None


class Metadata(Params):
    """A message's metadata: the bus's own options, and what is not the bus's."""

    own: Options | None = Field(default=None, alias=OWN)


class Message(Params):
    """A message of a client."""

    message_id: Id
    role: Literal["ROLE_USER", "user"]
    parts: Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS)]
    context_id: Id | None = None
    task_id: Id | None = None
    metadata: Metadata | None = None


class Configuration(Params):
    """How to answer; `blocking` is 0.3's."""

    return_immediately: bool | None = None
    blocking: bool | None = None
    history_length: Length | None = None
    task_push_notification_config: Any = None
    push_notification_config: Any = None


class SendParams(Params):
    """SendMessage, message/send."""

    message: Message
    configuration: Configuration | None = None


class GetParams(Params):
    """GetTask, tasks/get."""

    id: Id
    history_length: Length | None = None


class CancelParams(Params):
    """CancelTask, tasks/cancel."""

    id: Id


class ListParams(Params):
    """ListTasks; 0.3 has none."""

    context_id: Annotated[str, Field(max_length=255)] | None = None
    status: str | None = None
    page_size: Annotated[int, Field(ge=1, le=MOST_TASKS)] | None = None
    page_token: str | None = None
    history_length: Length | None = None
    status_timestamp_after: DateTime | None = None
    include_artifacts: bool | None = None


def read(model: type[Model], params: object) -> Model:
    """Parameters as a model.

    Raises:
        A2AError: they do not fit; names the field.
    """
    try:
        return model.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "params"
        words = str(first["msg"]).removeprefix("Value error, ")
        raise A2AError(INVALID_PARAMS, _shown(f"{name}: {words}."), _shown(name)) from error


def _shown(text: str) -> str:
    """A text that every encoding can carry: a client's own field names may stand in it."""
    return text.encode(errors="replace").decode()[:500]
