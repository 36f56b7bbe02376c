"""The storm guard: damps, then holds, agents that only keep each other busy.

Pure: no clock, no I/O. The ladder of a thread, a pair, a ring, or of broadcasts:

    calm ── a sign of a storm (`signals.py`) ──▶ damped ── goes on all the same ──▶ held
      ▲                                            │                                  │
      ├──────────── quiet for `quiet_s` ───────────┘                                  │
      └──────────────────────── a word of the operator ───────────────────────────────┘

Broadcasts are everybody's: when those that are held go quiet, they are damped again, then calm.

Damped, one message per `spacing_s` wakes its recipients. Held, none does. Mail is never dropped:
what is withheld is the wake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agent_bus.core.guards.storms.signals import EVERYBODY, WIDE, Signals, pair_key
from agent_bus.core.guards.storms.withheld import Withheld
from agent_bus.core.model import BUS, OPERATOR, Seq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agent_bus.core.guards.storms.signals import Found, Said, Signal, StormLimits
    from agent_bus.core.model import AgentName

Level = Literal["damped", "held"]
DAMPED: Final = "damped"
HELD: Final = "held"
CALM: Final = "calm"
"""A damped storm went quiet."""
RELEASED: Final = "released"
"""The operator has let it go on."""
Step = Literal["damped", "held", "calm", "released"]

PATIENCE: Final = 128
"""Each time that broadcasts are held again, they have to be quiet for twice as long before they
are damped; at most this many times `quiet_s`: a day by default."""
STORMS: Final = 500
"""Storms at once. More than that is one storm of the whole fleet, and those that are watched damp
it; the rest wakes as usual until one of them ends."""


@dataclass(slots=True)
class Storm:
    """One storm. `next_at` is when a damped one wakes again (monotonic); times `_at` are in ms."""

    key: str
    signal: Signal
    agents: tuple[AgentName, ...]
    level: Level
    since_at: int
    last: float
    next_at: float
    count: int = 0
    """Messages since it is damped."""
    edges: frozenset[str] = field(default_factory=frozenset)
    """The pairs of a ring."""
    holds: int = 0
    """How often it was held here."""

    def hold(self) -> None:
        """Let it wake nobody."""
        self.level = HELD
        self.holds += 1

    def ease(self, now: float, *, spacing_s: float) -> None:
        """Let it wake again, as if it had just been damped."""
        self.level, self.count, self.last, self.next_at = DAMPED, 0, now, now + spacing_s


class Turn(NamedTuple):
    """A storm took a step of the ladder; `is_new`: nobody has told this hub before."""

    storm: Storm
    step: Step


class Verdict(NamedTuple):
    """What becomes of a message: whose wake is withheld, by which storm, and what has changed."""

    withheld: Mapping[AgentName, str]
    turns: Sequence[Turn] = ()
    let_go: Mapping[AgentName, list[Seq]] = {}


NOTHING: Final = Verdict({})


class StormGuard:
    """Decides about every message, in the order of commits."""

    def __init__(self, limits: StormLimits) -> None:
        self._limits = limits
        self.signals = Signals(limits)
        self.withheld = Withheld()
        self.storms: dict[str, Storm] = {}
        self._edges: dict[str, str] = {}
        """Pair -> the ring that it is a part of."""
        self.found: dict[Signal, int] = dict.fromkeys(("turns", "ring", "repeats", "echoes"), 0)
        """Storms found since the start."""

    def take(
        self, said: Said, now: float, *, at: Callable[[], int], newest: Callable[[AgentName], Seq]
    ) -> Verdict:
        """Decide about a message that is durable.

        Args:
            said: the message.
            now: monotonic.
            at: tells the same moment in ms.
            newest: an agent's newest delivery before this message.
        """
        if said.sender == OPERATOR:
            return self._word(said)
        if said.sender == BUS:
            return NOTHING
        found = self.signals.take(said, now)
        if not found and not self.storms:
            return NOTHING
        turns = [turn for one in found if (turn := self._begin(one, now, at())) is not None]
        withheld: dict[AgentName, str] = {}
        for key, agents in self._hits(said):
            storm = self.storms[key]
            is_held, turn = self._count(storm, now)
            if turn is not None:
                turns.append(turn)
            if is_held:
                for agent in agents:
                    withheld.setdefault(agent, key)
        self._note(said, withheld, newest)
        return Verdict(withheld, turns)

    def tick(self, now: float) -> Verdict:
        """Let damped storms wake once more whose time has come, and end those that went quiet.

        Broadcasts that are held and went quiet are damped.
        """
        turns: list[Turn] = []
        let_go: dict[AgentName, list[Seq]] = {}
        for storm in list(self.storms.values()):
            if storm.level == HELD:
                if storm.key == EVERYBODY and now - storm.last > self._patience_s(storm):
                    storm.ease(now, spacing_s=self._limits.spacing_s)
                    _join(let_go, self.withheld.let_go(storm.key))
                    turns.append(Turn(storm, DAMPED))
                continue
            if now - storm.last > self._limits.quiet_s:
                _join(let_go, self._end(storm.key))
                turns.append(Turn(storm, CALM))
            elif now >= storm.next_at:
                gone = self.withheld.let_go(storm.key)
                if gone:
                    storm.next_at = now + self._limits.spacing_s
                    _join(let_go, gone)
        return Verdict({}, turns, let_go)

    def release(self, key: str) -> Verdict:
        """Let a storm go on, and count anew."""
        storm = self.storms.get(key)
        if storm is None:
            return NOTHING
        return Verdict({}, [Turn(storm, RELEASED)], self._end(key))

    def hear(self, told: Storm, step: Step, now: float) -> Verdict:
        """Take a step that some hub has decided; those that are known already change nothing."""
        if step in {CALM, RELEASED}:
            storm = self.storms.get(told.key)
            if storm is None or (step == CALM and storm.level == HELD):
                return NOTHING
            return Verdict({}, [Turn(storm, step)], self._end(told.key))
        storm = self.storms.get(told.key)
        if storm is None:
            if len(self.storms) >= STORMS:
                return NOTHING
            storm = self._put(told)
            storm.holds = int(storm.level == HELD)
            storm.last, storm.next_at = now, now + self._limits.spacing_s
            return Verdict({}, [Turn(storm, storm.level)])
        if storm.level == DAMPED and step == HELD:
            storm.hold()
            return Verdict({}, [Turn(storm, HELD)])
        return NOTHING

    def _begin(self, found: Found, now: float, at: int) -> Turn | None:
        if found.key in self.storms or len(self.storms) >= STORMS:
            return None
        self.found[found.signal] += 1
        storm = Storm(found.key, found.signal, found.agents, DAMPED, at, now, now)
        return Turn(self._put(storm), DAMPED)

    def _put(self, storm: Storm) -> Storm:
        self.storms[storm.key] = storm
        if storm.signal == "ring":
            after = (*storm.agents[1:], storm.agents[0])
            edges = [pair_key(a, b) for a, b in zip(storm.agents, after, strict=True)]
            storm.edges = frozenset(edges)
            self._edges.update(dict.fromkeys(edges, storm.key))
        return storm

    def _hits(self, said: Said) -> Iterator[tuple[str, Sequence[AgentName]]]:
        """(storm, whose wakes it may withhold) of all storms that a message belongs to."""
        storms = self.storms
        if said.thread_id in storms:
            yield said.thread_id, said.agents
        if len(said.agents) >= WIDE:
            if EVERYBODY in storms and self._echoes(storms[EVERYBODY], said.sender):
                yield EVERYBODY, said.agents
            return
        for agent in said.agents:
            key = pair_key(said.sender, agent)
            if key in storms:
                yield key, (agent,)
            ring = self._edges.get(key)
            if ring is not None:
                yield ring, (agent,)

    def _echoes(self, storm: Storm, sender: AgentName) -> bool:
        """Whether the last broadcast belongs to the storm of broadcasts: who is in it is known."""
        if self.signals.is_echo and sender not in storm.agents:
            storm.agents = tuple(sorted((*storm.agents, sender)))
        return self.signals.is_answer and sender in storm.agents

    def _patience_s(self, storm: Storm) -> float:
        """How long broadcasts that are held have to be quiet."""
        times = min(PATIENCE, 1 << max(0, storm.holds - 1))
        return self._limits.quiet_s * float(times)

    def _count(self, storm: Storm, now: float) -> tuple[bool, Turn | None]:
        """(whether a message of this storm is withheld, what has changed)."""
        storm.count += 1
        storm.last = now
        if storm.level == HELD:
            return True, None
        if storm.count > self._limits.more:
            storm.hold()
            return True, Turn(storm, HELD)
        if now < storm.next_at:
            return True, None
        storm.next_at = now + self._limits.spacing_s
        return False, None

    def _note(
        self, said: Said, withheld: dict[AgentName, str], newest: Callable[[AgentName], Seq]
    ) -> None:
        if not withheld and not self.withheld:
            return
        for place, agent in enumerate(said.agents):
            seq = Seq(said.first_seq + place)
            key = withheld.get(agent)
            if key is None or not self.withheld.add(agent, seq, key, before=newest(agent)):
                withheld.pop(agent, None)
                self.withheld.passes(agent, seq)

    def _word(self, said: Said) -> Verdict:
        """The operator wrote: what it concerns goes on, and is counted anew."""
        agents = frozenset(said.agents)
        keys = [
            storm.key
            for storm in self.storms.values()
            if storm.key == said.thread_id
            or self.signals.thread_of(storm.key) == said.thread_id
            or _is_to(storm, agents)
        ]
        self.signals.forget(said.thread_id)
        for one in said.agents if len(agents) < WIDE else ():
            for other in said.agents:
                self.signals.forget(pair_key(one, other))
        if len(agents) >= WIDE:
            self.signals.forget_echoes()
        let_go: dict[AgentName, list[Seq]] = {}
        turns = []
        for key in keys:
            turns.append(Turn(self.storms[key], RELEASED))
            _join(let_go, self._end(key))
        if self.withheld:
            for place, agent in enumerate(said.agents):
                self.withheld.passes(agent, Seq(said.first_seq + place))
        return Verdict({}, turns, let_go)

    def _end(self, key: str) -> dict[AgentName, list[Seq]]:
        storm = self.storms.pop(key)
        for edge in storm.edges:
            if self._edges.get(edge) == key:
                del self._edges[edge]
        if storm.signal == "ring":
            self.signals.forget_ring(storm.agents)
        elif key == EVERYBODY:
            self.signals.forget_echoes()
        else:
            self.signals.forget(key)
        return self.withheld.let_go(key)


def _is_to(storm: Storm, agents: frozenset[AgentName]) -> bool:
    """Whether a message to these agents is a word to those of a storm, and to hardly any others.

    One to everybody is a word about broadcasts only.
    """
    if storm.key == EVERYBODY:
        return len(agents) >= WIDE
    return agents.issuperset(storm.agents) and len(agents) <= len(storm.agents) + 1


def _join(into: dict[AgentName, list[Seq]], more: Mapping[AgentName, Iterable[Seq]]) -> None:
    for agent, seqs in more.items():
        into.setdefault(agent, []).extend(seqs)
