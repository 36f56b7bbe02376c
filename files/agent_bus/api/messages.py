"""The endpoints for messages: send, inbox, ack, history, one message.

Each one checks whose agents the token may act for, asks the bus, and renders. `routes.py` says
under which paths they stand.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from agent_bus.api import paging
from agent_bus.api.models import fields
from agent_bus.bus.broker import Holder
from agent_bus.channel_settings import PREFIX
from agent_bus.core import errors, states, wire
from agent_bus.core.guards import escalation
from agent_bus.core.guards.question import QUESTION, part_of
from agent_bus.core.model import (
    PRIORITIES,
    AgentName,
    Delivery,
    Draft,
    Message,
    MessageId,
    rfc3339,
)
from agent_bus.core.slices import HistorySlice, InboxSlice
from agent_bus.core.sse import compact_json, on_one_line
from agent_bus.http.call import Answer, AnyCall, Call
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.api.models.requests import AckBody, HistoryQuery, InboxQuery, SendBody
    from agent_bus.bus.auth import Authenticator, Principal
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Part
    from agent_bus.core.guards.storms.withheld import HeldTimes
    from agent_bus.core.model import Sent, Seq
    from agent_bus.core.states import Reachability
    from agent_bus.http.call import Done
    from agent_bus.store.contract import Store
    from agent_bus.store.guards.storms import Storms
    from agent_bus.store.outgoing import Telling
    from agent_bus.store.pending import Pending

KEY_LIMIT: Final = 255
"""Characters of an Idempotency-Key; a UUID has 36."""


class Messages:
    """The endpoints, with what they need.

    Args:
        page_limit: most rows a page may have, whatever `limit` asks for.
        tellings: when the operator was told of deliveries.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        storms: Storms,
        gate: WakeGate,
        auth: Authenticator,
        pending: Pending,
        clock: Clock,
        page_limit: int,
        tellings: Callable[[Sequence[Seq]], Sequence[Telling]] = lambda _: (),
    ) -> None:
        self._pending = pending
        self._clock = clock
        self._bus = bus
        self._store = store
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._storms = storms
        self._gate = gate
        self._auth = auth
        self._page_limit = page_limit
        self._tellings = tellings

    def send(self, call: Call[None, SendBody]) -> Answer:
        """Send a message."""
        draft, skipped = self._draft(call)
        return self._accepted(self._bus.send(draft, step=_part(call.body)), skipped)

    def begin_send(self, call: Call[None, SendBody], done: Done) -> None:
        """As `send`, in the loop itself."""
        draft, skipped = self._draft(call)

        def stored(found: Sent | Exception) -> None:
            try:
                outcome = found if isinstance(found, Exception) else self._accepted(found, skipped)
            except Exception as defect:  # noqa: BLE001 - the top of a request
                outcome = defect
            done(outcome)

        self._bus.begin_send(draft, step=_part(call.body), done=stored)

    def _draft(self, call: Call[None, SendBody]) -> tuple[Draft, tuple[AgentName, ...]]:
        """(what is to be stored, whom the sender may not write to and is left out).

        All that a send must pass is checked here, or in the bus.
        """
        body = call.body
        sender = self._auth.require_agent(call.principal, body.sender, field="from")
        key = call.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= KEY_LIMIT and key.isprintable()):
            raise errors.InvalidRequestError(
                f"Idempotency-Key: 1 to {KEY_LIMIT} printable characters.",
                field="Idempotency-Key",
            )
        recipients, skipped = self._addressed(body, sender, key)
        draft = Draft(
            sender=sender,
            recipients=recipients,
            body=body.body,
            subject=body.subject,
            data_json=None if body.data is None else compact_json(body.data),
            rank=PRIORITIES.index(body.priority),
            reply_to=None if body.reply_to is None else MessageId(body.reply_to),
            expires_in_s=body.expires_in_s,
            idempotency_key=key,
            payload_sha256=None if key is None else _canonical_sha256(body),
        )
        return draft, skipped

    def _require_ladder(self, data: dict[str, Any], sender: AgentName, rank: int) -> None:
        """Refuse a message whose sender names whom it may not write to, or nobody, as a step."""
        step = escalation.own_step(data, rank=rank)
        if step is None:
            return
        try:
            self._directory.require_rights(step.target, sender=sender)
        except errors.BusError as error:
            error.field = f"data.{escalation.KEY}.to"
            raise

    def _accepted(self, sent: Sent, skipped: tuple[AgentName, ...]) -> Answer:
        if skipped:  # a replay's recipients are those that the rules let through at that time
            had = {delivery.agent for delivery in sent.deliveries}
            skipped = tuple(agent for agent in skipped if agent not in had)
        return Answer(201, raw=wire.accepted(sent, self._reach, skipped=skipped))

    def _reach(self, of: Delivery) -> Reachability:
        """Whether a delivery wakes its agent now."""
        if self._gate.is_held(of):
            return states.STORM
        return self._presence.status(of.agent)

    def inbox(self, call: Call[InboxQuery]) -> Answer:
        """Read an inbox."""
        query = call.query
        agent = self._readable(call.principal, query.agent)
        scope = f"inbox {agent} {query.unread} {query.priority} {query.thread}"
        after = (-1, 0)
        if query.cursor is not None:
            rank, seq = paging.decode_cursor(query.cursor, scope, 2)
            after = (rank, seq)
        limit = min(query.limit, self._page_limit)
        wanted = InboxSlice(
            agent,
            unread=query.unread,
            rank=None if query.priority is None else PRIORITIES.index(query.priority),
            thread=query.thread,
            after=after,
            limit=limit,
        )
        page = self._bus.inbox(
            wanted,
            wait_s=query.wait_s,
            holder=Holder(call.principal.node, call.principal.sha256),
            is_over=lambda: self._is_over(call, agent),
        )
        principal = self._auth.renew(call.principal)  # the roster may have changed during the wait
        self._readable(principal, agent)
        is_own = self._auth.owns(principal, agent)
        # A client that has gone was shown nothing: its mail still has to wake the agent.
        is_shown = is_own and not query.peek and not _has_gone(call)
        before = self._bus.fetch(agent, page) if is_shown else {}
        full = len(page) == limit
        content = {
            "agent": agent,
            "next_cursor": (
                paging.encode_cursor(scope, page[-1].message.rank, page[-1].seq) if full else None
            ),
            "unread": self._counters.mailbox(agent).unread,
        }

        def shown(d: Delivery) -> dict[str, Any]:
            return _shown(d, *before.get(d.seq, (d.last_fetched_at, d.fetch_count)))

        return paging.page(content, page, shown)

    def ack(self, call: Call[None, AckBody]) -> Answer:
        """Mark messages as read."""
        body = call.body
        agent = self._auth.require_agent(call.principal, body.agent, field="agent")
        acked = self._bus.ack(
            agent,
            ids=None if body.ids is None else [MessageId(i) for i in body.ids],
            up_to=None if body.up_to is None else MessageId(body.up_to),
        )
        content = {
            "acked": acked.acked,
            "already_acked": acked.already_acked,
            "unknown": acked.unknown,
        }
        return Answer(200, content)

    def history(self, call: Call[HistoryQuery]) -> Answer:
        """Read the past."""
        query = call.query
        if query.agent is None and call.principal.is_admin:
            agent = None
        else:
            agent = self._readable(call.principal, query.agent)
        if query.partner is not None:
            if agent is None:
                raise errors.InvalidRequestError("with: needs `agent`, too.", field="with")
            self._directory.require(query.partner, field="with")
        scope = f"history {agent} {query.partner} {query.thread} {query.order} {query.archived}"
        limit = min(query.limit, self._page_limit)
        wanted = HistorySlice(
            agent=agent,
            partner=None if query.partner is None else AgentName(query.partner),
            thread=query.thread,
            since=fields.milliseconds(query.since),
            until=fields.milliseconds(query.until),
            archived=query.archived,
            after=None
            if query.cursor is None
            else paging.decode_cursor(query.cursor, scope, 1)[0],
            ascending=query.order == "asc",
            limit=limit,
        )
        page = self._store.history(wanted)
        full = len(page) == limit
        content = {
            "next_cursor": paging.encode_cursor(scope, page[-1][0].first_seq) if full else None,
        }
        return paging.page(content, page, lambda found: self._told(call.principal, *found))

    def message(self, call: Call) -> Answer:
        """One message with the timeline of each delivery."""
        message_id = MessageId(call.path["message_id"])
        found = self._store.message(message_id)
        own = self._auth.speaks_for(call.principal)
        if found is None or not (
            call.principal.is_admin
            or found[0].sender in own
            or any(d.agent in own for d in found[1])
        ):
            raise errors.UnknownMessageError(message_id)
        told = self._told(call.principal, *found)
        return Answer(200, {**told, **self._followed(found[0], told["deliveries"])})

    def _followed(self, of: Message, timelines: list[dict[str, Any]]) -> dict[str, Any]:
        """What waits for somebody: a question, and who was told of each delivery, or not woken."""
        pending = self._pending
        held = self._storms.times([one["seq"] for one in timelines])
        steps = pending.steps(of.first_seq) if of.rank == 0 else []
        tellings = self._tellings([one["seq"] for one in timelines])
        ladders = [
            {
                **one,
                **_held(held.get(one["seq"])),
                "ladder": [
                    {"to": s.target, "at": rfc3339(s.at), "notice_id": s.notice_id}
                    for s in steps
                    if s.seq == one["seq"]
                ],
                "told": [
                    {
                        "channel": t.name.removeprefix(PREFIX),
                        "at": rfc3339(t.at),
                    }
                    for t in tellings
                    if t.seq == one["seq"]
                ],
            }
            for one in timelines
        ]
        asks = of.data_json is not None and f'"{QUESTION}"' in of.data_json
        question = pending.question(of.id) if asks else None
        steady = self._clock.steady_ms()
        return {
            "deliveries": ladders,
            "question": None if question is None else wire.question(question, steady=steady),
        }

    def _addressed(
        self, body: SendBody, sender: AgentName, key: str | None
    ) -> tuple[tuple[AgentName, ...], tuple[AgentName, ...]]:
        """(the recipients that the body means, who is left out), by the roster of now.

        For a known key whose recipients the roster no longer has, or allows: nobody. The store
        then answers with the first result, or with the conflict.
        """
        try:
            found = self._directory.addressed(body.to, sender=sender)
            if body.data is not None:
                self._require_ladder(body.data, sender, PRIORITIES.index(body.priority))
        except (
            errors.UnknownAgentError,
            errors.AgentRetiredError,
            errors.NotAllowedError,
            errors.NoRecipientError,
        ):
            if key is not None:
                greenlets.require_greenlet()
            if key is None or not self._store.replay_of(sender, key):
                raise
            return (), ()
        return found

    def _readable(self, principal: Principal, name: str | None) -> AgentName:
        """The agent whose mail is read: one of the token's own, or anybody's for the operator."""
        if principal.is_admin and name is not None:
            return self._directory.require(name, field="agent")
        return self._auth.require_agent(principal, name, field="agent")

    def _is_over(self, call: AnyCall, agent: AgentName) -> bool:
        """Whether a call that waits for an agent's mail has lost its client or its right."""
        try:
            self._readable(self._auth.renew(call.principal), agent)
        except errors.BusError:
            return True
        return _has_gone(call)

    def _told(
        self, principal: Principal, of: Message, deliveries: Sequence[Delivery]
    ) -> dict[str, Any]:
        """A message as the sender (all deliveries) or a recipient (its own) may see it."""
        own = self._auth.speaks_for(principal)
        if not principal.is_admin and of.sender not in own:
            deliveries = [d for d in deliveries if d.agent in own]
        return wire.with_timeline(of, deliveries)


def _part(body: SendBody) -> Part | None:
    """What a message is to a question; most have no data, so this costs them nothing.

    Raises:
        errors.InvalidRequestError: a question whose choices make no sense.
    """
    return None if body.data is None else part_of(body.data, reply_to=body.reply_to)


def _held(times: HeldTimes | None) -> dict[str, Any]:
    """When a storm withheld a delivery's wake, and let it go."""
    held_at, let_go_at = (None, None) if times is None else times
    return {"held_at": rfc3339(held_at), "let_go_at": rfc3339(let_go_at)}


def _has_gone(call: AnyCall) -> bool:
    """Whether nobody waits for the answer any more."""
    return call.is_dropped() or greenlets.has_hung_up(call.socket)


def _shown(of: Delivery, fetched_at: int | None, fetch_count: int) -> dict[str, Any]:
    return {
        **wire.delivery(of),
        "fetched_at": rfc3339(fetched_at),
        "fetch_count": fetch_count,
    }


def _canonical_sha256(body: SendBody) -> bytes:
    """What tells whether a key comes with the same message again, on any release.

    Without data the model's own writer makes the same text at half the cost; it writes
    some floats in another way.
    """
    if body.data is None:
        canonical = on_one_line(body.model_dump_json(by_alias=True))
    else:
        canonical = compact_json(body.model_dump(mode="json", by_alias=True))
    return hashlib.sha256(canonical.encode()).digest()
