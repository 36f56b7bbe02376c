"""The desk: A2A's calls as use cases of the bus. A request is a message, its answer a reply.

Runs in the greenlet of the request, which its reads and writes block. Whose tasks a caller sees is
decided here, what is written how in `replies.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_bus.a2a import faults, replies
from agent_bus.a2a.drafts import Drafts
from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.replies import View
from agent_bus.a2a.requests import DEFAULT_TASKS
from agent_bus.a2a.views import Views
from agent_bus.api import paging
from agent_bus.api.models import fields
from agent_bus.bus.broker import Holder
from agent_bus.core import errors, task
from agent_bus.core.model import OPERATOR, AgentName, Draft
from agent_bus.core.task import Step, Task, TaskSlice
from agent_bus.http.speaker import AGENT_HEADER, may_be, speaker
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections import Counter

    from agent_bus.a2a.requests import (
        CancelParams,
        Configuration,
        GetParams,
        ListParams,
        Message,
        SendParams,
    )
    from agent_bus.bus.auth import Authenticator, Principal
    from agent_bus.bus.broker import Broker
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Sent
    from agent_bus.http.audit import Audit
    from agent_bus.http.call import AnyCall
    from agent_bus.store.contract import Store

logger = logging.getLogger(__name__)

WAIT_S: Final = 4.0
"""How long SendMessage waits for the reply. A2A lets it wait for ever; a2a-sdk's client gives up
after 5 s, and what it gave up it cannot name, for it has not heard the task's id."""
MOST_THREADS: Final = 20
"""Tasks on a page that shows what was written: a thread is read for each of them."""
CANCELED_WORDS: Final = "This request was canceled by its sender. No answer is needed."


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk works with; `refusals` counts problems by code, for the metrics."""

    bus: Bus
    store: Store
    broker: Broker
    counters: Counters
    directory: Directory
    auth: Authenticator
    audit: Audit
    refusals: Counter[str]
    clock: Clock


class Desk:
    """Sends, gets, lists and cancels; all answers are in 1.0's form."""

    def __init__(self, having: DeskParts) -> None:
        self._bus = having.bus
        self._drafts = Drafts(store=having.store, directory=having.directory)
        self._views = Views(bus=having.bus, store=having.store, auth=having.auth)
        self._store = having.store
        self._broker = having.broker
        self._counters = having.counters
        self._directory = having.directory
        self._auth = having.auth
        self._audit = having.audit
        self._refusals = having.refusals
        self._clock = having.clock

    def require(self, call: AnyCall, name: str) -> AgentName:
        """An agent that the speaker can write to; without one, any agent of the token.

        Raises:
            errors.BusError: see `Drafts.require` and `speaker`.
        """
        senders = self._auth.speaks_for(call.principal)
        if len(senders) == 1 or call.headers.get(AGENT_HEADER.key, "").strip():
            senders = (speaker(call, self._auth),)
        found = self._drafts.require(name, sender=OPERATOR)
        rights = self._directory.rights
        if senders and not any(rights.may(sender, found) for sender in senders):
            self._drafts.require(name, sender=senders[0])  # says which rule it is
        return found

    def refused(self, error: errors.BusError) -> A2AError:
        """A refusal of the bus in A2A's words, counted as all are."""
        self._refusals[error.code] += 1
        return faults.of_problem(error)

    def send(self, call: AnyCall, agent: str, params: SendParams) -> dict[str, Any]:
        """Store the message, wait a while for the answer, and answer the task.

        Raises:
            A2AError: A2A's own refusals.
            errors.BusError: the bus's refusals.
        """
        message, configuration = params.message, params.configuration
        refuse_push(configuration)
        owner = speaker(call, self._auth)
        draft, step = self._drafts.drafted(owner, agent, message)
        sent = self._send(call, draft, step)
        history_length = None if configuration is None else configuration.history_length
        is_new = step.kind == "open" and not sent.replayed
        of = _made(sent, step) if is_new else self._task_of(sent, message)
        is_waiting = waits(configuration) and of.is_open
        try:
            if is_waiting:
                of = self._wait(call, of)
            if is_waiting or not is_new:
                return self._views.shown(call, of, history_length=history_length)
        except errors.NoPrimaryError:
            if not is_new:
                raise
            logger.info("A task was made and cannot be read; it is answered as it was made")
        made = View(_made(sent, step), (sent.message,), None)
        return replies.task(made, history_length=history_length)

    def get(self, call: AnyCall, agent: str, params: GetParams) -> dict[str, Any]:
        """A task as it is now."""
        of = self._visible(call.principal, agent, params.id)
        self._note(call, of.owner)
        return self._views.shown(call, of, history_length=params.history_length)

    def cancel(self, call: AnyCall, agent: str, params: CancelParams) -> dict[str, Any]:
        """End an open task, and tell its agent by a message; both or neither.

        Also when the owner may no longer write to the agent: the words are the hub's, and the
        task could not end otherwise.
        """
        of = self._visible(call.principal, agent, params.id)
        draft = Draft(
            sender=of.owner,
            recipients=(of.agent,),
            subject="Canceled",
            body=CANCELED_WORDS,
            reply_to=of.id,
        )
        try:
            self._bus.send(draft, step=Step("cancel", of.id))
        except task.TaskEndedError as error:
            raise A2AError(
                faults.TASK_NOT_CANCELABLE,
                f"The task has ended ({error.state}); GetTask shows how.",
                facts={"taskId": of.id, "state": replies.STATES[error.state]},
            ) from error
        if call.principal.is_admin:
            self._audit.log(call, "api", "cancel", agent=of.agent, detail={"id": of.id})
        return self._views.shown(call, self._again(of), history_length=None)

    def page(self, call: AnyCall, agent: str, params: ListParams) -> dict[str, Any]:
        """A page of the speaker's tasks with one agent."""
        owner = speaker(call, self._auth)
        self._note(call, owner)
        status = params.status or None
        self._directory.require(agent, field="agent")
        size = params.page_size or DEFAULT_TASKS
        if params.include_artifacts or params.history_length:
            size = min(size, MOST_THREADS)
        chosen = _CHOICES.get(status)
        if chosen is None and status not in replies.NEVER:
            raise A2AError(faults.INVALID_PARAMS, "status: no state of a task.", "status")
        since = fields.milliseconds(params.status_timestamp_after)
        scope = f"a2a {owner} {agent} {params.context_id or ''} {status} {since}"
        before = None
        if params.page_token:
            at, pk = paging.decode_cursor(params.page_token, scope, 2)
            before = (at, pk)
        found = task.Tasks([], 0)
        context_id = params.context_id or ""
        if chosen is not None and context_id.isprintable():
            state, fetched = chosen
            about = AgentName(agent)
            thread = self._drafts.thread(owner, about, context_id) if context_id else None
            wanted = TaskSlice(
                owner,
                about,
                limit=size + 1,
                state=state,
                fetched=fetched,
                thread=thread,
                since=since,
                before=before,
            )
            found = self._store.tasks(wanted)
        shown = found.page[:size]
        token = ""
        if len(found.page) > size:
            token = paging.encode_cursor(scope, shown[-1].updated_at, shown[-1].pk)
        return {
            "tasks": [self._listed(call, of, params) for of in shown],
            "nextPageToken": token,
            "pageSize": size,
            "totalSize": found.total,
        }

    def _listed(self, call: AnyCall, of: Task, params: ListParams) -> dict[str, Any]:
        """A task on a page; without history and answer nothing of its thread is read."""
        if params.include_artifacts or params.history_length:
            return self._views.shown(
                call,
                of,
                history_length=params.history_length or 0,
                with_answer=bool(params.include_artifacts),
            )
        return replies.task(View(of, (), None), history_length=0)

    def _send(self, call: AnyCall, draft: Draft, step: Step) -> Sent:
        try:
            sent = self._bus.send(draft, step=step)
        except task.UnknownTaskError as error:
            raise faults.task_not_found(step.task_id or "") from error
        except task.TaskEndedError as error:
            raise A2AError(
                faults.UNSUPPORTED,
                f"The task has ended ({error.state}): send without taskId, with its contextId.",
                "message.taskId",
                {"taskId": step.task_id or "", "state": replies.STATES[error.state]},
            ) from error
        except errors.UnknownMessageError as error:
            self._refusals[error.code] += 1
            words = "message: what it follows has just been removed; send it again, with a new id."
            raise A2AError(faults.INVALID_PARAMS, words, "message") from error
        except errors.IdempotencyConflictError as error:
            self._refusals[error.code] += 1
            words = "message.messageId: was used for another message; take a new one."
            problem = {"problem": error.code}
            raise A2AError(faults.INVALID_PARAMS, words, "message.messageId", problem) from error
        if not sent.replayed:
            self._counters.task_count += step.kind == "open"
            if call.principal.is_admin:
                detail = {"id": sent.message.id, "by": "a2a"}
                self._audit.log(call, "api", "send", agent=draft.recipients[0], detail=detail)
        return sent

    def _task_of(self, sent: Sent, message: Message) -> Task:
        """The task that a message made or joined, also when it came again."""
        task_id = sent.message.id
        if message.task_id and sent.message.reply_to is not None:
            task_id = sent.message.reply_to
        found = self._store.task(task_id)
        if found is None:
            raise faults.task_not_found(task_id)
        return found

    def _wait(self, call: AnyCall, of: Task) -> Task:
        """Wait until a task has ended, WAIT_S at most; its answer is mail for its owner.

        Raises:
            errors.UnauthenticatedError: the token was revoked meanwhile.
            errors.ForbiddenError: it does not speak for the owner any more.
        """
        holder = Holder(call.principal.node, call.principal.sha256)
        deadline = self._clock.monotonic() + WAIT_S
        self._counters.asking_count += 1
        try:
            while of.is_open:
                principal = self._auth.renew(call.principal)
                self._auth.require_agent(principal, of.owner, field=AGENT_HEADER.name)
                last_seq = self._counters.mailbox(of.owner).last_seq
                of = self._again(of)
                left_s = deadline - self._clock.monotonic()
                if not of.is_open or left_s <= 0:
                    return of
                if self._counters.mailbox(of.owner).last_seq != last_seq:
                    continue  # something came after the read began
                if not self._broker.wait_for_inbox(
                    of.owner,
                    holder=holder,
                    timeout_s=left_s,
                    is_over=lambda: greenlets.has_hung_up(call.socket),
                ):
                    return self._again(of)
        except errors.TooManyStreamsError:
            logger.debug("Too many wait already; a task is answered open")
        finally:
            self._counters.asking_count -= 1
        return of

    def _note(self, call: AnyCall, owner: AgentName) -> None:
        """A look at one's own tasks is a sign of life, as a look into an inbox is."""
        if may_be(owner, call, self._auth):
            self._bus.seen(owner)

    def _again(self, of: Task) -> Task:
        return self._store.task(of.id) or of

    def _visible(self, principal: Principal, agent: str, task_id: str) -> Task:
        """A task of this agent that the caller may see.

        Raises:
            A2AError: there is none.
        """
        found = self._drafts.task(task_id)
        if found is None or found.agent != agent:
            raise faults.task_not_found(task_id)
        if not principal.is_admin and not self._auth.owns(principal, found.owner):
            raise faults.task_not_found(task_id)
        return found


_CHOICES: Final[dict[str | None, tuple[Any, bool | None]]] = {
    None: (None, None),
    "TASK_STATE_UNSPECIFIED": (None, None),
    replies.SUBMITTED: (task.OPEN, False),
    replies.WORKING: (task.OPEN, True),
    **{word: (state, None) for state, word in replies.STATES.items()},
}


def _made(sent: Sent, step: Step) -> Task:
    """The task that a message has just made, as it is stored."""
    message = sent.message
    return Task(
        message.first_seq,
        message.id,
        message.thread_id,
        message.sender,
        sent.deliveries[0].agent,
        step.client_id,
        step.context_name,
        task.OPEN,
        message.created_at,
        message.created_at,
        None,
        None,
    )


def waits(configuration: Configuration | None) -> bool:
    """Whether a send waits for the answer: 1.0 says when not, 0.3 says when."""
    if configuration is None:
        return True
    return not configuration.return_immediately and configuration.blocking is not False


def refuse_push(configuration: Configuration | None) -> None:
    """Refuse what would wait for a push that never comes.

    Raises:
        A2AError: the client wants to be pushed to.
    """
    if configuration is None:
        return
    if configuration.task_push_notification_config or configuration.push_notification_config:
        words = "This agent pushes nothing; ask by GetTask."
        raise A2AError(faults.NO_PUSH, words, "configuration")
