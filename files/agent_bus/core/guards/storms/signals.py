"""Signs of a storm: agents that only keep each other busy. Pure, the time is passed in.

Four signs, each in a window of time without a word of the operator:

    turns    two agents answer each other, in whatever threads
    ring     several agents pass something round, in whatever threads
    repeats  replies of a thread, or of a pair, say nothing new
    echoes   broadcasts are answered by broadcasts, again and again (`echoes.py`)

A plain message costs a few look-ups. Bodies are looked at only in a thread or pair that has had
`LOOKS_FROM` answers in the window. Memory is bounded: what was not heard of for longest is
forgotten, which only lets a storm go on for longer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from agent_bus.core.guards.storms.echoes import Echoes
from agent_bus.core.guards.storms.likeness import says_nothing_new, shingles
from agent_bus.core.guards.storms.rings import CHANCES, Rings
from agent_bus.core.model import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import AgentName, MessageId, Seq

Signal = Literal["turns", "ring", "repeats", "echoes"]

LOOKS_FROM: Final = 4
"""Answers in the window before bodies are looked at: most threads end before, and pay nothing."""
REMEMBERED: Final = 12
"""Texts that a body is compared with: a ring of five has said the same within them, and thanks
have come back to the same words."""
REPEATS_SHARE: Final = 0.5
"""Of the window, for repeats: what repeats itself more slowly is a report, not a storm."""
WIDE: Final = 4
"""Recipients that make a message a broadcast: a pair counts up to three at once."""
ECHO_S: Final = 120.0
"""A broadcast in a thread of its own answers one that its sender got so lately. An agent answers
within a minute or two; independent broadcasts are further apart."""
FORGIVEN: Final = 1
"""What one reply that says something new takes off a count of repeats."""
THREADS: Final = 2000
"""Threads that are watched at once. A fleet of 100 agents has some hundreds within the window; one
that was not heard of for longest is forgotten. About 1 KiB each, 20 KiB once bodies are looked at:
at most 40 MB, in a fleet that is one storm."""
PAIRS: Final = 5000
"""Pairs that are watched at once: all of 100 agents. About 1 KiB each."""
GAPS: Final = 1800
"""The window has so many gaps (1 s each). Of two messages of one agent to another within a gap
one counts: no agent answers so fast, and a program that does is found within seconds all the same.
So whoever sends a lot pays for one look-up. Bodies of a thread are looked at as rarely."""
DEPTHS: Final = 100
"""Depths of a thread whose repeats are kept: twice the default limit of hops."""


class Said(NamedTuple):
    """What the guard knows of a message; `body` is None where only another hub knows it."""

    sender: AgentName
    agents: Sequence[AgentName]
    first_seq: Seq
    thread_id: MessageId
    depth: int
    body: str | None


@dataclass(frozen=True, slots=True)
class StormLimits:
    """The settings that begin with `storm_`; `settings.py` says why they are so."""

    window_s: float = 1800.0
    turns: int = 60
    repeats: int = 12
    echoes: int = 12
    spacing_s: float = 60.0
    more: int = 10
    quiet_s: float = 600.0


class Found(NamedTuple):
    """A sign of a storm: where, and which agents."""

    signal: Signal
    key: str
    agents: tuple[AgentName, ...]


EVERYBODY: Final = "broadcasts"
"""The key of broadcasts that answer each other in threads of their own."""


def pair_key(one: AgentName, other: AgentName) -> str:
    """The key of two agents, in whatever order they come."""
    return f"{one},{other}" if one < other else f"{other},{one}"


Times = tuple[float, ...]
"""When texts that said nothing new came, one upon the other; at most as many as the limit."""


class Repeats:
    """The last texts of a thread or a pair, to tell whether another one says nothing new."""

    __slots__ = ("_limit", "_texts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: deque[frozenset[int]] = deque(maxlen=REMEMBERED)

    def count(self, body: str, before: Times, *, now: float) -> Times:
        """The repeats in a row up to a text; `before` are those up to what it answers."""
        text = shingles(body)
        repeats = says_nothing_new(text, self._texts)
        self._texts.append(text)
        return (*before, now)[-self._limit :] if repeats else before[:-FORGIVEN]


class _Thread:
    __slots__ = ("agents", "echoes", "last", "looked", "repeats", "replies", "runs", "wide_from")

    def __init__(self, now: float) -> None:
        self.last = now
        self.looked = float("-inf")
        self.replies: deque[float] | None = None
        self.runs: dict[int, Times] = {}
        """Depth -> repeats in a row up to there: a reply continues what its parent did."""
        self.repeats: Repeats | None = None
        self.wide_from: AgentName | None = None
        self.echoes: Echoes | None = None
        self.agents: set[AgentName] = set()


class _Pair:
    __slots__ = ("last", "last_from", "repeats", "run", "thread_id", "turns")

    def __init__(self, sender: AgentName, thread_id: MessageId, turns: int) -> None:
        self.last = 0.0
        self.last_from = sender
        self.thread_id = thread_id
        self.turns: deque[float] = deque(maxlen=turns)
        self.repeats: Repeats | None = None
        self.run: Times = ()


class Signals:
    """Watches all threads and pairs; one per hub."""

    def __init__(self, limits: StormLimits) -> None:
        self._limits = limits
        self._threads: dict[MessageId, _Thread] = {}
        self._pairs: dict[str, _Pair] = {}
        self._rings = Rings(hops=limits.turns, window_s=limits.window_s)
        self._wide_from: AgentName | None = None
        self._wide_at = float("-inf")
        self._echoes = Echoes(limit=limits.echoes, window_s=limits.window_s)
        self.is_answer = self.is_echo = False
        """Whether the last message is a broadcast in a thread of its own that answers another one,
        and whether its sender is soon back with it."""
        self._gap_s = limits.window_s / GAPS
        self.counts_from: dict[tuple[AgentName, AgentName], float] = {}
        """Sender and recipient -> from when on (monotonic) their next message counts."""

    @property
    def watched(self) -> tuple[int, int]:
        """How many threads and pairs are watched now."""
        return len(self._threads), len(self._pairs)

    def take(self, said: Said, now: float) -> list[Found]:
        """Count a message of an agent; answers the signs that it is the last drop of."""
        found: list[Found] = []
        self.is_answer = self.is_echo = False
        if said.depth > 0:
            self._reply(said, now, found)
        if len(said.agents) >= WIDE:
            self._broadcast(said, now, found)
        else:
            for agent in said.agents:
                if agent not in (said.sender, OPERATOR):
                    self._exchange(said, agent, now, found)
        return found

    def thread_of(self, key: str) -> MessageId | None:
        """The thread that a pair wrote in last."""
        pair = self._pairs.get(key)
        return None if pair is None else pair.thread_id

    def forget(self, key: str) -> None:
        """Count a thread or a pair anew; with a thread, each pair that wrote in it last."""
        thread = self._threads.pop(cast("MessageId", key), None)
        self._pairs.pop(key, None)
        if thread is not None or "," not in key:
            for pair in [one for one, of in self._pairs.items() if of.thread_id == key]:
                del self._pairs[pair]

    def forget_ring(self, agents: Sequence[AgentName]) -> None:
        """Count what goes round these agents anew."""
        self._rings.forget(agents)

    def forget_echoes(self) -> None:
        """Count broadcasts anew."""
        self._echoes.forget()
        self._wide_from = None

    def _reply(self, said: Said, now: float, found: list[Found]) -> None:
        limits = self._limits
        thread = self._thread(said.thread_id, now)
        if thread.replies is None:
            thread.replies = deque(maxlen=LOOKS_FROM)
        elif now - thread.last > limits.window_s:
            thread.runs, thread.repeats = {}, None
        thread.last = now
        thread.replies.append(now)
        if not _is_full(thread.replies, now, limits.window_s):
            return
        run = thread.runs.get(said.depth - 1, ())
        if now - thread.looked < self._gap_s:
            thread.runs[said.depth] = run
            return
        thread.looked = now
        if thread.repeats is None:
            thread.repeats = Repeats(limits.repeats)
        if said.body is not None:
            run = thread.repeats.count(said.body, run, now=now)
        thread.runs[said.depth] = run
        if len(thread.runs) > DEPTHS:
            del thread.runs[min(thread.runs)]
        if len(thread.agents) < WIDE:
            thread.agents.add(said.sender)
        if self._is_storm(run, now):
            found.append(Found("repeats", said.thread_id, _agents(thread, said)))

    def _broadcast(self, said: Said, now: float, found: list[Found]) -> None:
        sender, thread = said.sender, self._thread(said.thread_id, now)
        if said.depth > 0:
            if thread.wide_from is None:
                thread.wide_from = sender
            if thread.echoes is None:
                limits = self._limits
                thread.echoes = Echoes(limit=limits.echoes, window_s=limits.window_s)
            is_echo = thread.echoes.take(sender, now, is_answer=thread.wide_from != sender)
            if is_echo and thread.echoes.is_storm(now):
                found.append(Found("echoes", said.thread_id, thread.echoes.agents))
            return
        thread.wide_from = sender
        is_recent = now - self._wide_at <= ECHO_S
        self.is_answer = is_recent and self._wide_from not in {None, sender}
        self._wide_from, self._wide_at = sender, now
        self.is_echo = self._echoes.take(sender, now, is_answer=self.is_answer)
        if self.is_echo and self._echoes.is_storm(now):
            found.append(Found("echoes", EVERYBODY, self._echoes.agents))

    def _exchange(self, said: Said, agent: AgentName, now: float, found: list[Found]) -> None:
        limits, sender = self._limits, said.sender
        if len(self.counts_from) >= PAIRS:
            self.counts_from.clear()
        self.counts_from[sender, agent] = now + self._gap_s
        key = pair_key(sender, agent)
        pair = self._pairs.get(key)
        if pair is None:
            pair = _Pair(sender, said.thread_id, limits.turns)
            if len(self._pairs) >= PAIRS:
                self._make_room(now)
            self._pairs[key] = pair
        pair.last = now
        pair.thread_id = said.thread_id
        ring = self._rings.take(sender, agent, now)
        if ring:
            found.append(Found("ring", ">".join(ring), ring))
        if pair.last_from == sender:
            return
        pair.last_from = sender
        turns = pair.turns
        turns.append(now)
        if _is_full(turns, now, limits.window_s):
            found.append(Found("turns", key, (sender, agent)))
        if said.depth == 0 and said.body is not None:
            self._begin(pair, said, key, now=now, found=found)

    def _make_room(self, now: float) -> None:
        """Forget a pair: the first that is not in use, of the oldest ones."""
        for _ in range(CHANCES):
            key = next(iter(self._pairs))
            if now - self._pairs[key].last > self._limits.window_s:
                break
            self._pairs[key] = self._pairs.pop(key)  # a second chance, behind all others
        del self._pairs[next(iter(self._pairs))]

    def _begin(self, pair: _Pair, said: Said, key: str, *, now: float, found: list[Found]) -> None:
        """Look at an answer that begins a thread of its own: no thread's count has it."""
        limits = self._limits
        if len(pair.turns) < LOOKS_FROM or now - pair.turns[-LOOKS_FROM] > limits.window_s:
            pair.run = ()
            return
        if pair.repeats is None:
            pair.repeats = Repeats(limits.repeats)
        pair.run = pair.repeats.count(said.body or "", pair.run, now=now)
        if self._is_storm(pair.run, now):
            one, _, other = key.partition(",")
            agents = (said.sender, *(a for a in said.agents if a in {one, other}))
            found.append(Found("repeats", key, agents))

    def _is_storm(self, run: Times, now: float) -> bool:
        limits = self._limits
        window_s = limits.window_s * REPEATS_SHARE
        return len(run) == limits.repeats and now - run[0] <= window_s

    def _thread(self, thread_id: MessageId, now: float) -> _Thread:
        thread = self._threads.pop(thread_id, None)
        if thread is None:
            thread = _Thread(now)
            if len(self._threads) >= THREADS:
                del self._threads[next(iter(self._threads))]
        self._threads[thread_id] = thread
        return thread


def _agents(thread: _Thread, said: Said) -> tuple[AgentName, ...]:
    return tuple(sorted({*thread.agents, said.sender, *said.agents[:WIDE]}))


def _is_full(times: deque[float], now: float, window_s: float) -> bool:
    return len(times) == times.maxlen and now - times[0] <= window_s
