"""How stored values look in JSON, for inbox, history, timeline and streams."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent_bus.core.model import PRIORITIES, rfc3339
from agent_bus.core.sse import compact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.guards.hold import Hold
    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import AgentName, Delivery, MailboxCounts, Message, Sent
    from agent_bus.core.states import Reachability


def message(of: Message) -> dict[str, Any]:
    """A message without recipients: id, from_agent, subject, body, ..., expires_at."""
    return {
        "id": of.id,
        "from_agent": of.sender,
        "subject": of.subject,
        "body": of.body,
        "data": None if of.data_json is None else json.loads(of.data_json),
        "priority": PRIORITIES[of.rank],
        "reply_to": of.reply_to,
        "thread_id": of.thread_id,
        "created_at": rfc3339(of.created_at),
        "expires_at": rfc3339(of.expires_at),
    }


def delivery(of: Delivery) -> dict[str, Any]:
    """A delivery as its recipient gets it: `message`, with seq, to_agent and read_at."""
    whole = message(of.message)
    return {
        "id": whole.pop("id"),
        "seq": of.seq,
        "from_agent": whole.pop("from_agent"),
        "to_agent": of.agent,
        **whole,
        "read_at": rfc3339(of.read_at),
    }


class EventLine:
    """The single `data:` lines of one message's events, one per delivery.

    Assembled by hand, because every delivery pays for it. What deliveries share is made once, and
    only what a sender wrote goes through the encoder. The sender's `data` is stored as compact
    JSON and inserted unchanged.
    """

    __slots__ = ("_before_agent", "_before_seq", "_rest")

    def __init__(self, of: Message) -> None:
        subject = "null" if of.subject is None else compact_json(of.subject)
        reply_to = "null" if of.reply_to is None else f'"{of.reply_to}"'
        self._before_seq = f'{{"id":"{of.id}","seq":'
        self._before_agent = f',"from_agent":"{of.sender}","to_agent":"'
        self._rest = (
            f'","subject":{subject},"body":{compact_json(of.body)},'
            f'"data":{of.data_json or "null"},'
            f'"priority":"{PRIORITIES[of.rank]}","reply_to":{reply_to},'
            f'"thread_id":"{of.thread_id}","created_at":"{rfc3339(of.created_at)}","read_at":'
        )

    def to(self, of: Delivery, *, is_held: bool = False) -> str:
        """The line of one of the message's deliveries; one that is held says so."""
        read_at = "null" if of.read_at is None else f'"{rfc3339(of.read_at)}"'
        end = ',"wake":"held"}' if is_held else "}"
        return (
            f"{self._before_seq}{of.seq}{self._before_agent}{of.agent}{self._rest}{read_at}{end}"
        )


def event_line(of: Delivery, *, is_held: bool = False) -> str:
    """The line of a delivery that comes without its message's other ones."""
    return EventLine(of.message).to(of, is_held=is_held)


def withheld_line(of: Delivery, *, is_held: bool = False) -> str:
    """As `event_line`, without what the sender wrote: for a watcher that may only wake."""
    shown = replace(of.message, subject=None, body="", data_json=None)
    return f'{EventLine(shown).to(of, is_held=is_held)[:-1]},"withheld":true}}'


def accepted(
    sent: Sent,
    status: Callable[[Delivery], Reachability],
    *,
    skipped: Sequence[AgentName] = (),
) -> bytes:
    """The answer to a send, as JSON; `status` says whether a delivery wakes its agent.

    Assembled by hand like `EventLine`: all that a sender wrote in it has been checked.
    `skipped` are those whom the message leaves out because the sender may not write to them.
    """
    recipients = [
        f'{{"agent":"{d.agent}","seq":{d.seq},"reachability":"{status(d)}"}}'
        for d in sent.deliveries
    ]
    m = sent.message
    left_out = f',"skipped":{compact_json(list(skipped))}' if skipped else ""
    return (
        f'{{"id":"{m.id}","thread_id":"{m.thread_id}",'
        f'"created_at":"{rfc3339(m.created_at)}","recipients":[{",".join(recipients)}]{left_out}}}'
    ).encode()


def receipt(of: Delivery) -> dict[str, object]:
    """A receipt as the sender gets it."""
    return {
        "id": of.message.id,
        "agent": of.agent,
        "seq": of.seq,
        "read_at": rfc3339(of.read_at),
    }


def timeline(of: Delivery) -> dict[str, Any]:
    """The times of one delivery's hops; null where one has not happened."""
    return {
        "agent": of.agent,
        "seq": of.seq,
        "stored_at": rfc3339(of.message.created_at),
        "pushed_at": rfc3339(of.pushed_at),
        "received_at": rfc3339(of.received_at),
        "accepted_at": rfc3339(of.accepted_at),
        "wake_failed_at": rfc3339(of.wake_failed_at),
        "wake_failure": of.wake_failure,
        "escalated_at": rfc3339(of.escalated_at),
        "overdue_at": rfc3339(of.overdue_at),
        "fetched_at": rfc3339(of.fetched_at),
        "fetch_count": of.fetch_count,
        "read_at": rfc3339(of.read_at),
        "expired_at": rfc3339(of.expired_at),
    }


def with_timeline(of: Message, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """A message with the hops of the given deliveries."""
    return {**message(of), "deliveries": [timeline(d) for d in deliveries]}


def question(of: Question, *, steady: int) -> dict[str, Any]:
    """A question as everybody gets it who may see its message."""
    return {
        "choices": list(of.choices),
        "agents": list(of.agents),
        "state": of.state(steady=steady),
        "choice": of.choice,
        "answered_by": of.answered_by,
        "answered_at": rfc3339(of.answered_at),
        "answer_id": of.answer_id,
    }


def mailbox(of: MailboxCounts, hold: Hold | None) -> dict[str, object]:
    """An agent's counters as watchers get them, until when not to wake it, and why."""
    return {
        "agent": of.agent,
        "unfetched": of.unfetched,
        "unread": of.unread,
        "max_unfetched_seq": of.last_seq if of.unfetched else None,
        "muted_until": None if hold is None else rfc3339(hold.told_until_at),
        "held": None if hold is None else hold.reason,
    }


def mailbox_line(of: MailboxCounts, hold: Hold | None) -> str:
    """`mailbox` as the `data:` line of its event.

    Assembled by hand like `EventLine`: a watcher gets one with nearly every message.
    """
    newest = str(of.last_seq) if of.unfetched else "null"
    held = '"muted_until":null,"held":null'
    if hold is not None:
        held = f'"muted_until":"{rfc3339(hold.told_until_at)}","held":"{hold.reason}"'
    return (
        f'{{"to_agent":null,"agent":"{of.agent}","unfetched":{of.unfetched},"unread":{of.unread},'
        f'"max_unfetched_seq":{newest},{held}}}'
    )
