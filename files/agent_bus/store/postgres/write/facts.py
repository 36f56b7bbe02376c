"""What a batch did, as other hubs' listeners are told: the rows of `change`.

A fact is a JSON list that begins with its kind: `["sent", pk, [agents], expires_at]`, behind it
`["said", pk, sender, thread_id, depth]` (which earlier releases pass over),
`["acked", agent, [seqs]]`, `["mailboxes", [agents]]`, `["roster"]`; what hubs tell each other
besides is in `cluster/words.py`. A hub where nobody reads the mail of these agents needs no more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_bus.core.model import Acked, AgentName, MailboxCounts, Sent

Fact = list[Any]

SENT: Final = "sent"
SAID: Final = "said"
ACKED: Final = "acked"
MAILBOXES: Final = "mailboxes"
ROSTER: Final = "roster"


def sent(one: Sent) -> list[Fact]:
    """A message was stored; nothing, when it had been before."""
    if one.replayed:
        return []
    agents = [delivery.agent for delivery in one.deliveries]
    message = one.message
    said = [SAID, message.first_seq, message.sender, message.thread_id, message.depth]
    return [[SENT, message.first_seq, agents, message.expires_at], said]


def acked(agent: AgentName, one: Acked) -> list[Fact]:
    """Deliveries of an agent were read."""
    return [[ACKED, agent, [d.seq for d in one.receipts]]] if one.receipts else []


def mailboxes(changed: Iterable[MailboxCounts]) -> list[Fact]:
    """Counters of agents changed for another reason."""
    return counted(box.agent for box in changed)


def counted(agents: Iterable[AgentName]) -> list[Fact]:
    """Counters of these agents changed."""
    found = list(agents)
    return [[MAILBOXES, found]] if found else []


def roster() -> list[Fact]:
    """The roster changed."""
    return [[ROSTER]]


def touched(fact: Fact) -> Iterable[AgentName]:
    """Whose counters a fact changes."""
    match fact:
        case ["sent", _, agents, _] | ["mailboxes", agents]:
            return list(agents)
        case ["acked", agent, _]:
            return [agent]
        case _:
            return []


def encoded(found: Sequence[Fact]) -> str:
    """The text that is kept."""
    return json.dumps(found, separators=(",", ":"))


def decoded(text: str) -> list[Fact]:
    """The facts of a batch, in the order of its commit."""
    found: list[Fact] = json.loads(text)
    return found
