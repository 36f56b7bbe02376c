"""Simulated fleets under the storm guard: time, mail and wakes, and what agents say.

Pure and deterministic: simulated time, seeded dice, no I/O. Agents are played: each does what its
part says when mail wakes it, one turn at a time, at the pace of real ones.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from agent_bus.core.guards.storms.ladder import StormGuard, Verdict
from agent_bus.core.guards.storms.signals import Said, StormLimits
from agent_bus.core.model import AgentName, MessageId, Seq

FLEET: Final = tuple(AgentName(f"a{number:02}") for number in range(1, 20))
"""The reference fleet: 19 agents."""
MINUTE: Final = 60.0
HOUR: Final = 3600.0
HOPS: Final = 50
"""The hub's default limit of replies in a row."""
PACE_S: Final = (6.0, 18.0)
"""From a wake to the answer: a turn of a small model that does nothing but answer."""
WAKES_APART_S: Final = 12.0
"""A watcher wakes an agent at most this often."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as an agent sees it."""

    sender: AgentName
    agents: tuple[AgentName, ...]
    thread: MessageId
    depth: int
    body: str


Agents = tuple[AgentName, ...]
Part = Callable[["Fleet", AgentName, Mail], None]


@dataclass(slots=True)
class Fleet:
    """A fleet at work; time is simulated."""

    guard: StormGuard
    part: Part
    dice: random.Random
    now: float = 0.0
    sent: int = 0
    last_at: float = 0.0
    refused: int = 0
    woken: int = 0
    steps: list[tuple[str, str, int, float]] = field(default_factory=list)
    """(step, sign, messages until then, minutes until then)."""
    _events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _seqs: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _free_at: dict[AgentName, float] = field(default_factory=dict)
    _mail: dict[int, tuple[AgentName, Mail]] = field(default_factory=dict)

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def after(self, delay_s: float, act: Callable[[], object]) -> None:
        """Do something later."""
        self.at(self.now + delay_s, act)

    def send(
        self,
        sender: AgentName,
        agents: tuple[AgentName, ...],
        body: str,
        *,
        answer_to: Mail | None = None,
    ) -> Mail:
        """Send a message; without `answer_to` it begins a thread."""
        self.sent += 1
        self.last_at = self.now
        seqs = [next(self._seqs) for _ in agents]
        thread, depth = MessageId(f"T{self.sent:07}"), 0
        if answer_to is not None:
            thread, depth = answer_to.thread, answer_to.depth + 1
        mail = Mail(sender, agents, thread, depth, body)
        if depth > HOPS:
            self.refused += 1
            return mail
        said = Said(sender, agents, Seq(seqs[0]), thread, depth, body)
        verdict = self.guard.take(
            said, self.now, at=lambda: int(self.now * 1000), newest=lambda _: Seq(0)
        )
        self._note(verdict)
        for seq, agent in zip(seqs, agents, strict=True):
            self._mail[seq] = (agent, mail)
            if agent not in verdict.withheld:
                self._wake(seq)
        return mail

    def run(self, until: float) -> None:
        """Play until a time, or until nothing happens any more."""
        self.at(0.0, self._tick)
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def pace(self, least: float, most: float) -> float:
        """A time between two."""
        return self.dice.uniform(least, most)

    def _tick(self) -> None:
        self._note(self.guard.tick(self.now))
        self.after(1.0, self._tick)

    def _note(self, verdict: Verdict) -> None:
        for turn in verdict.turns:
            self.steps.append((turn.step, turn.storm.signal, self.sent, self.now / MINUTE))
        for seqs in verdict.let_go.values():
            self._wake(max(seqs))  # one wake, and the agent reads all that waited

    def _wake(self, seq: int) -> None:
        agent, mail = self._mail.pop(seq)
        self.woken += 1
        start = max(self.now, self._free_at.get(agent, 0.0))
        self._free_at[agent] = start + WAKES_APART_S
        self.at(start, lambda: self.part(self, agent, mail))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fleet does: its part, how it begins, for how long it is played."""

    name: str
    begin: Callable[[Fleet], None]
    part: Part
    until: float = 3 * HOUR


def play(scene: Scene, limits: StormLimits) -> Fleet:
    """Play a scene."""
    fleet = Fleet(StormGuard(limits), scene.part, random.Random(scene.name))
    scene.begin(fleet)
    fleet.run(scene.until)
    return fleet


# What agents say

_WORDS: Final = tuple(
    re.findall(
        r"\w+",
        """
        the parser branch fails when a header has no value because index starts at one instead of
        zero test covers only happy path please rename loader and move cache behind interface lock
        is held during read which blocks writer for seconds under load measured latency p99 rises
        config reload drops open streams after restart node keeps stale token until lease lapses
        migration adds column nullable default query plan scans whole table index missing archive
        retry budget backoff jitter timeout socket closed early client resumes cursor epoch replay
        docs example wrong path inventory variable preflight check reports error line file fix
        deploy canary gate health metrics alert threshold dashboard panel graph customer order
        invoice report weekly summary garden pump sensor battery shelf recipe shopping calendar
        """,
    )
)
THANKS: Final = (
    "Thank you!", "Thanks a lot, that helps!", "You are very welcome!", "Many thanks to you!",
    "No problem at all, happy to help!", "Great, thank you so much!", "Glad that it helped!",
    "Thanks again, have a nice day!", "You too, thank you!", "My pleasure!", "Thank you, too!",
    "Perfect, thanks!", "Always happy to help, thank you!", "Much appreciated, thanks a lot!",
    "You are welcome, have a great day!", "Thanks, same to you!", "Cheers, thank you!",
)  # fmt: skip
ACKS: Final = (
    "done, tests pass", "ok", "yes, go on", "pushed", "looks good, next one", "one moment",
    "green now", "agreed", "no, keep it", "try again", "which file?", "line 40",
)  # fmt: skip


ITEMS: Final = (
    "build", "unit tests", "signed package", "canary", "metrics", "roll out", "release notes",
    "changelog entry", "licence check", "image scan", "migration dry run", "backup verified",
    "rollback rehearsed", "on-call informed", "status page", "docs published", "tag pushed",
    "mirror synced", "customers told", "ticket closed",
)  # fmt: skip


def prose(dice: random.Random, words: int) -> str:
    """So many words about work, as no other text has them."""
    return " ".join(dice.choices(_WORDS, k=words))


def checklist(dice: random.Random, agent: str, stage: int) -> str:
    """The checklist of a release: every agent's has the same form, and fills up."""
    ticks = [f"[{'x' if at <= stage else ' '}] {item}" for at, item in enumerate(ITEMS)]
    return f"Checklist of {agent}, stage {stage}:\n" + "\n".join(ticks) + f"\n{prose(dice, 6)}"


def answers(fleet: Fleet, agent: AgentName, mail: Mail, body: str) -> None:
    """Send an answer at the pace of a turn."""
    delay_s = fleet.pace(*PACE_S)
    fleet.after(delay_s, lambda: fleet.send(agent, (mail.sender,), body, answer_to=mail))
