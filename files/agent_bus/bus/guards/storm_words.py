"""What the storm guard says: its notice to the operator, and its reasons in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.storms.signals import EVERYBODY
from agent_bus.core.model import AgentName, rfc3339
from agent_bus.core.slices import HistorySlice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.storms.ladder import Storm
    from agent_bus.core.guards.storms.signals import StormLimits
    from agent_bus.core.model import Delivery, Message

SHOWN: Final = 6
"""Messages in a notice: two rounds of three agents, or three of two."""
OPENING: Final = 120
"""Characters of each."""
NAMED: Final = 8
"""Agents that are named; a broadcast has the whole fleet."""


def key_of(what: str) -> str:
    """The key that an operator means: the two of a pair come in any order."""
    names = what.replace(" ", ",").split(",")
    return ",".join(sorted(filter(None, names))) if len(names) > 1 else what


def who(agents: Sequence[AgentName]) -> str:
    """The agents of a storm in words."""
    named = ", ".join(agents[:NAMED])
    return f"{named} and {len(agents) - NAMED} more" if len(agents) > NAMED else named


def reason(storm: Storm, limits: StormLimits) -> str:
    """Why a storm is one, in a sentence."""
    window = f"{limits.window_s / 60:g} minutes"
    if storm.signal == "turns":
        return f"They answered each other {limits.turns} times within {window}."
    if storm.signal == "ring":
        return f"They passed {limits.turns} messages round within {window}."
    if storm.signal == "repeats":
        return f"{limits.repeats} answers in a row said nothing new."
    return (
        f"{limits.echoes} broadcasts or more answered broadcasts within {window},"
        " of agents that had just sent one."
    )


def subject(storm: Storm) -> str:
    """The subject of the notice."""
    return f"Held: {who(storm.agents)} keep each other busy"


def body(
    storm: Storm, limits: StormLimits, shown: Sequence[tuple[Message, Sequence[Delivery]]]
) -> str:
    """The notice: why, what it means, the last messages, and what to do."""
    lines = [
        f"{reason(storm, limits)} You said nothing to it.",
        f"It was slowed down at {rfc3339(storm.since_at)}, and went on.",
        "From now on these messages wake nobody. All of them are stored and can be read.",
    ]
    if storm.key == EVERYBODY:
        lines.append("Other broadcasts wake as ever. It ends by itself when it is quiet.")
    if shown:
        lines += ["", "The last messages:"]
        for message, deliveries in reversed(shown):
            to = who([delivery.agent for delivery in deliveries])
            text = " ".join((message.subject or message.body).split())[:OPENING]
            lines.append(f"  {rfc3339(message.created_at)} {message.sender} to {to}: {text}")
    word = "a message of yours in the thread" if storm.key != EVERYBODY else "a broadcast of yours"
    lines += [
        "",
        f"To let it go on: {word}, the button on the page, or on the hub",
        f'  agent-bus-admin release "{storm.key}"',
        "To end it, tell the agents so in that message, or leave it held.",
    ]
    return "\n".join(lines)


def last_messages_of(storm: Storm) -> HistorySlice:
    """Which messages a notice shows."""
    agent = partner = thread = None
    if "," in storm.key:
        one, other = storm.key.split(",")
        agent, partner = AgentName(one), AgentName(other)
    elif storm.signal == "ring":
        agent = min(storm.agents)
    elif storm.key != EVERYBODY:
        thread = storm.key
    return HistorySlice(agent=agent, partner=partner, thread=thread, ascending=False, limit=SHOWN)
