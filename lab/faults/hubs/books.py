"""What clients outside of the fleet were answered and heard, and whether the hubs agree; pure."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.traffic.ledger import examples_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

SKIPPED = 1_000_000
"""A takeover of the database leaves out so many seqs, so that none ever comes twice."""


class Place(NamedTuple):
    """A node whose token a client has."""

    node: str
    agents: Sequence[str]
    token: Path


@dataclass(frozen=True, slots=True)
class Sent:
    """A send that a hub accepted; its body is unique, whichever hubs it was tried at."""

    body: str
    to: str
    id: str
    hub: str
    at: float
    tries: int


@dataclass(frozen=True, slots=True)
class Failed:
    """One try without success; `status` is 0 where no answer came."""

    hub: str
    at: float
    status: int
    problem: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that a listener was given, in the order in which it came."""

    listener: str
    id: str
    agent: str
    seq: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A stream of a listener began (`why` is empty) or ended."""

    listener: str
    hub: str
    at: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A delivery in the hubs' history."""

    id: str
    body: str
    agent: str
    seq: int


@dataclass(slots=True)
class Verdict:
    """What is wrong with the messages that were accepted in a part of the run."""

    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)

    def words(self) -> str:
        """Return what is wrong, with a few examples of each kind; empty when nothing is."""
        kinds = {
            "lost": self.lost,
            "doubled": self.doubled,
            "missing in a stream": self.gaps,
            "out of order": self.disorder,
            "heard but not stored": self.phantoms,
        }
        return examples_of(kinds)


def judge(
    sent: Sequence[Sent],
    stored: Sequence[Stored],
    heard: Iterable[Heard],
    listeners: Mapping[str, Collection[str]],
) -> Verdict:
    """Compare what was accepted with what the hubs store and what each listener heard.

    Args:
        sent: what was accepted in the part of the run that is judged.
        stored: all that the hubs store, whoever sent it, in the order of `seq`.
        heard: all that all listeners were given.
        listeners: each listener's agents.
    """
    verdict = Verdict(len(sent))
    _judge_store(verdict, sent, stored)
    ears: dict[str, list[Heard]] = {name: [] for name in listeners}
    for one in heard:
        ears[one.listener].append(one)
    known = {(one.id, one.agent) for one in stored}
    for name, agents in listeners.items():
        mine = ears[name]
        wanted = [(s.id, s.to) for s in sent if s.to in agents]
        had = {(one.id, one.agent) for one in mine}
        verdict.lost += [
            f"{message} at {name}" for message, to in wanted if (message, to) not in had
        ]
        _judge_stream(verdict, name, mine, [s for s in stored if s.agent in agents])
        verdict.phantoms += [
            f"{one.id} at {name}" for one in mine if (one.id, one.agent) not in known
        ]
    return verdict


def _judge_store(verdict: Verdict, sent: Sequence[Sent], stored: Sequence[Stored]) -> None:
    ids = {(one.id, one.agent) for one in stored}
    verdict.lost += [f"{one.body} to {one.to}" for one in sent if (one.id, one.to) not in ids]
    bodies = Counter((one.body, one.agent) for one in stored)
    verdict.doubled += [one.body for one in sent if bodies[one.body, one.to] > 1]
    seqs = sorted(one.seq for one in stored)
    verdict.gaps += [
        f"seq {before} to {after} stored"
        for before, after in itertools.pairwise(seqs)
        if (after - before) % SKIPPED != 1
    ]


def _judge_stream(
    verdict: Verdict, name: str, mine: Sequence[Heard], stored: Sequence[Stored]
) -> None:
    seqs = [one.seq for one in mine]
    verdict.doubled += [
        f"{message} at {name}"
        for (message, _), times in Counter((one.id, one.agent) for one in mine).items()
        if times > 1
    ]
    verdict.disorder += [
        f"{after} after {before} at {name}"
        for before, after in itertools.pairwise(seqs)
        if after < before
    ]
    if seqs:
        had = set(seqs)
        verdict.gaps += [
            f"seq {one.seq} at {name}"
            for one in stored
            if min(seqs) <= one.seq <= max(seqs) and one.seq not in had
        ]


def longest_pause(sent: Iterable[Sent], began: float, ended: float) -> float:
    """Return for how long nothing was accepted, at most, between two times."""
    times = sorted(one.at for one in sent if began <= one.at <= ended)
    return max(after - before for before, after in itertools.pairwise([began, *times, ended]))


def moved_after(
    turns: Sequence[Turn], victims: Collection[str], began: float, ended: float
) -> float | None:
    """Return how long the last client of the victims' hubs took to have a stream elsewhere.

    None: one of them has none, or there was none to move.
    """
    at: dict[str, str] = {}
    for turn in turns:
        if turn.at < began and not turn.why:
            at[turn.listener] = turn.hub
    movers = [listener for listener, hub in at.items() if hub in victims]
    arrivals = []
    for listener in movers:
        found = [
            turn.at - began
            for turn in turns
            if turn.listener == listener
            and not turn.why
            and began <= turn.at <= ended
            and turn.hub not in victims
        ]
        if not found:
            return None
        arrivals.append(found[0])
    return max(arrivals, default=None)


def disturbed(
    turns: Sequence[Turn], victims: Collection[str], began: float, ended: float
) -> list[Turn]:
    """Return the ends of streams at other hubs than the victims; renewals do not count."""
    return [
        turn
        for turn in turns
        if turn.why
        and turn.why != "lifetime"
        and turn.hub not in victims
        and began <= turn.at <= ended
    ]


def deliveries_of(messages: Iterable[Mapping[str, Any]]) -> list[Stored]:
    """Return the deliveries in pages of `GET /api/history`."""
    return [
        Stored(message["id"], message["body"], entry["agent"], entry["seq"])
        for message in messages
        for entry in message["deliveries"]
    ]
