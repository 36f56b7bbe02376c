"""The way of one delivery, hop by hop, and the hop that failed in words; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agent_bus.core import states
from agent_bus.core.model import OPERATOR

if TYPE_CHECKING:
    from agent_bus.core.model import AgentName, Delivery, NodeName
    from agent_bus.core.states import AgentStatus

GRACE_MS: Final = 5_000
"""How long a hop may take before it counts as late; a wake takes half a second."""
TURN_MS: Final = 120_000
"""How long a woken agent may take to look at its inbox: it may be busy."""
State = Literal["done", "skipped", "waiting", "late", "failed"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop: its name, when it happened (ms), how long after the hop before, and its state."""

    name: str
    at: int | None
    delta_ms: int | None
    state: State


@dataclass(frozen=True, slots=True)
class Way:
    """All hops of one delivery. `failed` names the hop at which it is stuck, `words` say why."""

    agent: AgentName
    node: NodeName | None
    status: AgentStatus
    delivery: Delivery
    hops: tuple[Hop, ...]
    failed: str | None
    words: str


def way(of: Delivery, *, node: NodeName | None, status: AgentStatus, now: int) -> Way:
    """The way of a delivery as of now."""
    m = of.message
    stamps: list[tuple[str, int | None]] = [(states.STORED, m.created_at)]
    if of.agent != OPERATOR:
        stamps += [
            (states.PUSHED, of.pushed_at),
            (states.RECEIVED, of.received_at),
            ("woken", of.accepted_at),
            (states.FETCHED, of.fetched_at),
        ]
    stamps.append((states.READ, of.read_at))
    last = max(number for number, (_, at) in enumerate(stamps) if at is not None)
    is_over = of.read_at is not None or of.expired_at is not None
    hops: list[Hop] = []
    before = m.created_at
    for number, (name, at) in enumerate(stamps):
        state: State = "done" if at is not None else "skipped"
        if number == last + 1 and not is_over:
            limit_ms = TURN_MS if name in {states.FETCHED, states.READ} else GRACE_MS
            state = "late" if now - before > limit_ms else "waiting"
            if name == "woken" and of.wake_failed_at is not None:
                state = "failed"
        elif number > last and not is_over:
            state = "waiting"
        hops.append(Hop(name, at, None if at is None or not number else at - before, state))
        before = at or before
    stuck = next((h for h in hops if h.state in {"late", "failed"}), None)
    failed = None if stuck is None or of.agent == OPERATOR else stuck.name
    words = _words(of, failed, status=status, node=node)
    return Way(of.agent, node, status, of, tuple(hops), failed, words)


def _words(of: Delivery, failed: str | None, *, status: AgentStatus, node: NodeName | None) -> str:
    if of.read_at is not None:
        return "Read."
    if of.expired_at is not None:
        return "Expired before it was read."
    if status == states.RETIRED:
        return f"{of.agent} is no longer in the inventory; nobody will read this."
    why = {
        states.PUSHED: f"No watcher of {node} takes messages (the agent is {status}).",
        states.RECEIVED: f"It was written to the stream of {node}, but the watcher has not "
        "said that it came.",
        "woken": f"The gateway did not take the wake: {of.wake_failure or 'no answer yet'}.",
        states.FETCHED: "The gateway took the wake, but the agent has not looked at its inbox.",
        states.READ: f"Shown {of.fetch_count} times, not acked yet.",
    }
    if failed is None:
        return "Under way." if of.agent != OPERATOR else "In the operator's mailbox."
    overdue = " It is overdue: waking was tried again." if of.overdue_at else ""
    return why[failed] + overdue
