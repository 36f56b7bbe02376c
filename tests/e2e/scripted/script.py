"""What the scripted agents do: the script, without any protocol.

A user who asks for it has the agent send a message. A wake has it read its inbox, answer what is
no answer itself, and ack all of it. It does so with the tools of the MCP server alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

WAKE = re.compile(r"agent-bus: unread messages for (?P<agent>[a-z0-9_-]+)")
ORDER = re.compile(r"Ask (?P<recipient>[a-z0-9_-]+) over the agent bus how he is")
HEAD = re.compile(r"^(?P<id>[0-9A-HJKMNP-TV-Z]{26}) from [^\n]*$(?!\n  shown )", re.MULTILINE)
"""A message of the inbox; not one that another turn of the agent has in hand."""
QUESTION, ANSWER = "How are you?", "Fine, thank you."
SILENT = "NO_REPLY"
SEARCHED = "tool_call"
"""OpenClaw's tool that calls those which it has not shown to the model."""


@dataclass(frozen=True)
class Turn:
    """A turn as the model is shown it: the words that began it, what tools said since, tools."""

    words: str
    results: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """What the agent does next: a call of a tool, or, with `tool` empty, its last words.

    `wanted` is the bus's own name of the tool.
    """

    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    answer: str = ""
    wanted: str = ""


def next_step(turn: Turn) -> Step:
    """Return what the agent does next."""
    if WAKE.search(turn.words):
        return _woken(turn)
    order = ORDER.search(turn.words)
    if order and not turn.results:
        return _call(turn, "send", {"to": order["recipient"], "body": QUESTION})
    return Step(answer="Done.")


def begins(words: str) -> bool:
    """Tell whether these words of a user begin a turn that the script knows."""
    return bool(WAKE.search(words) or ORDER.search(words))


def _woken(turn: Turn) -> Step:
    if not turn.results:
        return _call(turn, "inbox", {})
    heads = list(HEAD.finditer(turn.results[0]))
    steps = [
        ("reply", {"id": head["id"], "body": ANSWER})
        for head in heads
        if "in reply to" not in head[0]
    ]
    steps += [("ack", {"ids": [head["id"] for head in heads]})] if heads else []
    if len(turn.results) <= len(steps):
        return _call(turn, *steps[len(turn.results) - 1])
    return Step(answer=SILENT)


def _call(turn: Turn, tool: str, arguments: dict[str, Any]) -> Step:
    """Return a call of the bus's tool, by the name that the client has given to it."""
    for known in turn.tools:
        if re.fullmatch(rf"(.*(__|::|_))?{tool}", known):
            return Step(known, arguments, wanted=tool)
    if SEARCHED in turn.tools:
        return Step(SEARCHED, {"id": f"bus__{tool}", "args": arguments}, wanted=tool)
    return Step(answer=f"There is no tool {tool} among {turn.tools}.")
