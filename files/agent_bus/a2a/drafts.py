"""From a client's message to the bus's: whom it goes to, what it answers, and its key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from agent_bus.a2a import faults
from agent_bus.a2a.faults import INVALID_PARAMS, NO_SUCH_CONTENT, A2AError
from agent_bus.a2a.requests import OWN, Options
from agent_bus.api.models.requests import SendBody
from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, PRIORITIES, AgentName, Draft, MessageId
from agent_bus.core.slices import HistorySlice
from agent_bus.core.sse import compact_json
from agent_bus.core.task import Step, TaskSlice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.a2a.requests import Message, Part
    from agent_bus.bus.directory import Directory
    from agent_bus.core.task import Task
    from agent_bus.store.contract import Store

NEWEST: Final = 20
"""How many of a thread's newest messages are looked at for one of the owner's."""
DATA_ONLY: Final = "This message has data only."


class Drafts:
    """Makes them."""

    def __init__(self, *, store: Store, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    def require(self, name: str, *, sender: AgentName) -> AgentName:
        """An agent that a sender can write to.

        Raises:
            errors.UnknownAgentError, errors.AgentRetiredError, errors.NotAllowedError: it cannot.
        """
        if name.startswith("@"):
            raise errors.UnknownAgentError(name, [], field="agent")
        (agent,) = self._directory.recipients(name, sender=sender)
        return agent

    def task(self, task_id: str) -> Task | None:
        """A task by an id that a client gave."""
        return self._store.task(MessageId(task_id)) if task_id.isalnum() else None

    def drafted(self, owner: AgentName, agent: str, message: Message) -> tuple[Draft, Step]:
        """The bus's message for a client's."""
        body, data = content(message.parts)
        options = Options() if message.metadata is None else message.metadata.own or Options()
        checked = _checked(body, data, options)
        joined = self._joined(message)
        told = [
            agent, body, data, options.model_dump(), message.task_id or None,
            message.context_id or None,
        ]  # fmt: skip
        key = hashlib.sha256(f"{agent}\0{message.message_id}".encode()).hexdigest()
        key = f"a2a-{key}"
        recipients = self._recipients(owner, agent, key)
        reply_to, name = joined, None
        if joined is None and message.context_id:
            reply_to, name = self._context(owner, AgentName(agent), message.context_id)
        draft = Draft(
            sender=owner,
            recipients=recipients,
            body=checked.body,
            subject=checked.subject,
            data_json=None if data is None else compact_json(data),
            rank=PRIORITIES.index(checked.priority),
            reply_to=reply_to,
            expires_in_s=checked.expires_in_s,
            idempotency_key=key,
            payload_sha256=hashlib.sha256(compact_json(told).encode()).digest(),
        )
        if joined is not None:
            return draft, Step("join", joined, message.message_id)
        return draft, Step("open", None, message.message_id, name)

    def thread(self, owner: AgentName, agent: AgentName, context_id: str) -> str:
        """The thread of a context that a client names, by its own name or by the thread's id."""
        named = self._store.newest_task(owner, agent, context=context_id)
        return context_id if named is None else named.thread_id

    def _joined(self, message: Message) -> MessageId | None:
        """The task that a message says it belongs to.

        Raises:
            A2AError: there is none, or it is of another context.
        """
        if not message.task_id:
            return None
        found = self.task(message.task_id)
        if found is None:
            raise faults.task_not_found(message.task_id)
        if message.context_id and message.context_id not in {found.thread_id, found.context_id}:
            words = "message.contextId: not the context of the task; leave it out."
            raise A2AError(faults.INVALID_PARAMS, words, "message.contextId")
        return found.id

    def _context(
        self, owner: AgentName, agent: AgentName, context_id: str
    ) -> tuple[MessageId | None, str | None]:
        """(what a new request in a context replies to, the client's own name for the context).

        Any name will do: it is one of a context that the owner has begun with the agent, or the id
        of a thread of the owner's, or else it begins a context.
        """
        named = self._store.newest_task(owner, agent, context=context_id)
        if named is not None:
            return self._newest(owner, named.thread_id) or named.id, context_id
        if context_id.isalnum():  # as ids of the bus are
            parent = self._newest(owner, context_id) or self._any(owner, agent, context_id)
            if parent is not None:
                return parent, None
        return None, context_id

    def _newest(self, owner: AgentName, thread: str) -> MessageId | None:
        """The newest message of a thread that the owner wrote or got: so depth counts here, too.

        None also when it is none of the newest ones.
        """
        for archived in (False, True):
            wanted = HistorySlice(limit=NEWEST, thread=thread, archived=archived, ascending=False)
            for message, deliveries in self._store.history(wanted):
                if owner in {message.sender, *(d.agent for d in deliveries)}:
                    return message.id
        return None

    def _any(self, owner: AgentName, agent: AgentName, thread: str) -> MessageId | None:
        """A message of a long thread that the owner may reply to: a request, or the first one."""
        own = self._store.tasks(TaskSlice(owner, agent, limit=1, thread=thread)).page
        if own:
            return own[0].id
        first = self._store.message(MessageId(thread))
        if first is None:
            return None
        message, deliveries = first
        may_reply = {OPERATOR, message.sender, *(d.agent for d in deliveries)}
        return message.id if owner in may_reply else None

    def _recipients(self, owner: AgentName, agent: str, key: str) -> tuple[AgentName, ...]:
        """The agent; nobody for a known key that would be refused now: the store answers it."""
        try:
            return (self.require(agent, sender=owner),)
        except (errors.UnknownAgentError, errors.AgentRetiredError, errors.NotAllowedError):
            if not self._store.replay_of(owner, key):
                raise
            return ()


def _checked(body: str, data: dict[str, Any] | None, options: Options) -> SendBody:
    """The message by the rules for all messages of the bus.

    Raises:
        A2AError: it breaks one; names the field as A2A has it.
    """
    given = {"body": body, "data": data, **options.model_dump()}
    try:
        return SendBody.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        field = "message.parts" if name in {"body", "data"} else f"message.metadata.{OWN}.{name}"
        words = str(first["msg"]).removeprefix("Value error, ")
        raise A2AError(faults.INVALID_PARAMS, f"{field}: {words}.", field) from error


def content(parts: Sequence[Part]) -> tuple[str, dict[str, Any] | None]:
    """The body and the data that parts say.

    Texts follow one another, an empty line between. A single JSON object is the data; anything
    else is the list `parts` in it.

    Raises:
        A2AError: a part is a file, or nothing.
    """
    texts: list[str] = []
    values: list[Any] = []
    for number, part in enumerate(parts):
        if part.text is not None:
            texts.append(part.text)
        elif part.data is not None:
            values.append(part.data)
        elif part.kind == "file" or any(x is not None for x in (part.raw, part.url, part.file)):
            raise A2AError(
                NO_SUCH_CONTENT,
                "The bus carries text and JSON, no files: put a link to it into a text part.",
                f"message.parts.{number}",
            )
        else:
            field = f"message.parts.{number}"
            raise A2AError(INVALID_PARAMS, f"{field}: needs `text` or `data`.", field)
    body = "\n\n".join(texts)
    if not values:
        return body, None
    data = values[0] if len(values) == 1 and isinstance(values[0], dict) else {"parts": values}
    return body if body.strip() else DATA_ONLY, data
