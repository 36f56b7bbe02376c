"""Simulated fleets under the storm guard: what trips it, after how much, and what stays clear.

Pure and deterministic: simulated time, seeded dice, no I/O, seconds in all. Agents are played:
each does what its part says when mail wakes it, one turn at a time, at the pace of real ones.

    python -m bench.storm            writes the tables of docs/explanation/budgets.md
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent_bus.core.guards.storms.ladder import DAMPED, HELD, StormGuard, Verdict
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
PAGE: Final = Path(__file__).parents[1] / "docs/explanation/budgets.md"
SIGNS: Final = ("turns", "repeats", "echoes")
"""The limits that work is held against; a ring has that of turns."""
OFF: Final = 10**6
"""A limit that nothing reaches."""


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


def _answers(fleet: Fleet, agent: AgentName, mail: Mail, body: str) -> None:
    delay_s = fleet.pace(*PACE_S)
    fleet.after(delay_s, lambda: fleet.send(agent, (mail.sender,), body, answer_to=mail))


# Storms


def _ping(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    _answers(fleet, agent, mail, f"I have received your message and noted it. Regards, {agent}")


def _ping_anew(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    body = prose(fleet.dice, 60)
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (mail.sender,), body))


def _ping_same_anew(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    body = f"I have received your message and noted it. Regards, {agent}"
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (mail.sender,), body))


def _thank(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    _answers(fleet, agent, mail, fleet.dice.choice(THANKS))


def _next_of(agent: AgentName, ring: tuple[AgentName, ...]) -> AgentName:
    return ring[(ring.index(agent) + 1) % len(ring)]


def _pass_on(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    to = _next_of(agent, FLEET[:5])
    body = f"Passing this on to {to}, please take care of it and pass it on when you are done."
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (to,), body, answer_to=mail))


def _pass_on_anew(fleet: Fleet, agent: AgentName, _mail: Mail) -> None:
    to, body = _next_of(agent, FLEET[:5]), prose(fleet.dice, 60)
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (to,), body))


def _others(agent: AgentName) -> tuple[AgentName, ...]:
    return tuple(one for one in FLEET if one != agent)


def _echo(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    body = f"Hello everybody, {agent} is here, too. {prose(fleet.dice, 8)}"
    fleet.after(
        fleet.pace(*PACE_S), lambda: fleet.send(agent, _others(agent), body, answer_to=mail)
    )


def _echo_anew(fleet: Fleet, agent: AgentName, _mail: Mail) -> None:
    body = f"Hello everybody, {agent} is here, too. {prose(fleet.dice, 8)}"
    if fleet.dice.random() < 1 / 3:  # of those who hear it
        fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, _others(agent), body))


def _first(agents: tuple[AgentName, ...], body: str) -> Callable[[Fleet], None]:
    return lambda fleet: fleet.at(0.0, lambda: fleet.send(FLEET[0], agents, body))


STORMS: Final = (
    Scene("two that answer each other", _first((FLEET[1],), "Hello!"), _ping),
    Scene("the same, a new thread each time", _first((FLEET[1],), "Hello!"), _ping_same_anew),
    Scene("the same, always another text", _first((FLEET[1],), "Hello!"), _ping_anew),
    Scene("endless thanks, in many variants", _first((FLEET[1],), "All done."), _thank),
    Scene("a ring of five in one thread", _first((FLEET[1],), "Who can do this?"), _pass_on),
    Scene("a ring of five, always new threads", _first((FLEET[1],), "Hello!"), _pass_on_anew),
    Scene("a broadcast, echoed by 18", _first(FLEET[1:], "I am new here!"), _echo, HOUR),
    Scene("the same, always new threads", _first(FLEET[1:], "I am new here!"), _echo_anew, HOUR),
)
"""What must end by itself."""


# Real work


def _nobody(_fleet: Fleet, _agent: AgentName, _mail: Mail) -> None:
    """Agents whose part the scene itself plays."""


def _talk(
    fleet: Fleet, *, count: int, gap_s: tuple[float, float], body: Callable[[], str]
) -> float:
    """A talk of two in threads of at most 40 messages; answers when it ends."""
    when, last = 0.0, [None] if count else []

    def one(place: int) -> Callable[[], object]:
        def act() -> None:
            a, b = FLEET[place % 2], FLEET[(place + 1) % 2]
            before = last[0] if place % 40 else None
            last[0] = fleet.send(a, (b,), body(), answer_to=before)  # type: ignore[call-overload]

        return act

    for place in range(count):
        fleet.at(when, one(place))
        when += fleet.pace(*gap_s)
    return when


def _review(fleet: Fleet) -> None:
    dice = fleet.dice

    def body() -> str:
        quoted = "\n".join(f"> {prose(dice, 12)}" for _ in range(3))
        return f"{quoted}\n{prose(dice, dice.randint(60, 250))}"

    _talk(fleet, count=40, gap_s=(20.0, 90.0), body=body)


def _pair(fleet: Fleet) -> None:
    dice = fleet.dice

    def body() -> str:
        return dice.choice(ACKS) if dice.random() < 0.3 else prose(dice, dice.randint(15, 120))

    _talk(fleet, count=170, gap_s=(30.0, 100.0), body=body)


def _train(fleet: Fleet) -> None:
    """Seven stages, ten minutes each; the coordinator's list goes to all eight in one message."""
    coordinator, agents = FLEET[0], FLEET[1:9]
    last: list[Mail] = []

    def stage(number: int) -> None:
        body = checklist(fleet.dice, "the train", number)
        before = last[-1] if last else None
        asked = fleet.send(coordinator, agents, body, answer_to=before)
        for agent in agents:

            def answer(agent: AgentName = agent) -> None:
                text = checklist(fleet.dice, agent, number)
                last.append(fleet.send(agent, (coordinator,), text, answer_to=asked))

            fleet.after(fleet.pace(20.0, 400.0), answer)

    for number in range(7):
        fleet.at(number * 600.0, lambda number=number: stage(number))  # type: ignore[misc]


def _train_by_one(fleet: Fleet) -> None:
    """The same, with a thread of its own for each agent."""
    coordinator = FLEET[0]
    for agent in FLEET[1:9]:
        last: list[Mail | None] = [None]
        for number in range(7):

            def ask(
                agent: AgentName = agent, number: int = number, last: list[Mail | None] = last
            ) -> None:
                text = checklist(fleet.dice, agent, number)
                asked = fleet.send(coordinator, (agent,), text, answer_to=last[0])

                def answer() -> None:
                    done = checklist(fleet.dice, agent, number)
                    last[0] = fleet.send(agent, (coordinator,), done, answer_to=asked)

                fleet.after(fleet.pace(20.0, 400.0), answer)

            fleet.at(number * 600.0 + fleet.pace(0.0, 30.0), ask)


def _stand_up(fleet: Fleet) -> None:
    def begin() -> None:
        asked = fleet.send(FLEET[0], FLEET[1:], "Stand-up: what did you do, what is next?")
        for agent in FLEET[1:]:
            text = f"{agent}: yesterday {prose(fleet.dice, 12)}; today {prose(fleet.dice, 12)}"

            def answer(agent: AgentName = agent, text: str = text) -> None:
                fleet.send(agent, (FLEET[0],), text, answer_to=asked)

            fleet.after(fleet.pace(5.0, 90.0), answer)

    fleet.at(0.0, begin)


def _incident(fleet: Fleet) -> None:
    """Five agents for 40 minutes, many urgent messages; three tell everybody now and then."""
    crew, dice = FLEET[:5], fleet.dice
    heard: list[Mail] = []

    def begin() -> None:
        heard.append(fleet.send(crew[0], FLEET[1:], "Incident: the gateway is down, all hands!"))

    def note() -> None:
        one, other = dice.sample(crew, 2)
        asked = heard[-1] if dice.random() < 0.6 else None
        heard.append(fleet.send(one, (other,), prose(dice, dice.randint(5, 40)), answer_to=asked))

    def tell_all(who: AgentName) -> None:
        text = f"Status of {who}: {prose(dice, 15)}"
        fleet.send(who, _others(who), text, answer_to=heard[0])

    fleet.at(0.0, begin)
    for at in range(150):
        fleet.at(20.0 + at * 16.0, note)
    for at in range(8):
        who = crew[at % 4]
        fleet.at(300.0 * (at + 1), lambda who=who: tell_all(who))  # type: ignore[misc]


def _reports(fleet: Fleet) -> None:
    """A report of equal form every five minutes; whoever gets it says so in a few words."""
    dice = fleet.dice

    def report(number: int) -> None:
        text = f"Monitoring report {number}: disk {dice.randint(40, 60)} %, load 0.4, no alerts."
        sent = fleet.send(FLEET[0], (FLEET[1],), text)
        if number % 2:
            fleet.after(15.0, lambda: fleet.send(FLEET[1], (FLEET[0],), "noted", answer_to=sent))
        else:
            fleet.after(15.0, lambda: fleet.send(FLEET[1], (FLEET[0],), "noted, thanks"))

    for number in range(36):
        fleet.at(number * 300.0, lambda number=number: report(number))  # type: ignore[misc]


def _thread_of_reports(fleet: Fleet) -> None:
    """The same as one long thread, each report a reply to the one before."""
    last: list[Mail | None] = [None]

    def report(number: int) -> None:
        text = f"Monitoring report {number}: disk {fleet.dice.randint(40, 60)} %, no alerts."
        last[0] = fleet.send(FLEET[0], (FLEET[1],), text, answer_to=last[0])

    for number in range(36):
        fleet.at(number * 300.0, lambda number=number: report(number))  # type: ignore[misc]


def _pipeline(fleet: Fleet) -> None:
    """Planner, coder, reviewer and planner again: one thing after the other for three hours."""
    when = 0.0
    for step in range(90):
        a, b = FLEET[step % 3], FLEET[(step + 1) % 3]
        text = prose(fleet.dice, 80)
        fleet.at(when, lambda a=a, b=b, t=text: fleet.send(a, (b,), t))  # type: ignore[misc]
        when += fleet.pace(60.0, 180.0)


CROWD: Final = tuple(AgentName(f"c{number:02}") for number in range(1, 25))
"""A fleet of 24 agents."""


def _statuses(fleet: Fleet, *, begin: float = 0.0, asked: Mail | None = None) -> None:
    """All tell all the others, one after the other, as at nine o'clock."""
    for place, agent in enumerate(CROWD):
        others = tuple(one for one in CROWD if one != agent)
        text = f"Status of {agent}: {prose(fleet.dice, 15)}"

        def tell(agent: AgentName = agent, others: Agents = others, text: str = text) -> None:
            fleet.send(agent, others, text, answer_to=asked)

        fleet.at(begin + 3.0 * place, tell)


def _statuses_often(fleet: Fleet) -> None:
    for round_ in range(8):
        _statuses(fleet, begin=round_ * 15 * MINUTE)


def _statuses_in_thread(fleet: Fleet) -> None:
    def begin() -> None:
        asked = fleet.send(CROWD[0], CROWD[1:], "Status of everybody, to all, please!")
        _statuses(fleet, begin=5.0, asked=asked)

    fleet.at(0.0, begin)


WORK: Final = (
    Scene("a review of 40 messages", _review, _nobody),
    Scene("a release train, one list to eight agents", _train, _nobody),
    Scene("the same, a thread with each", _train_by_one, _nobody),
    Scene("a stand-up: one broadcast, 18 answers", _stand_up, _nobody),
    Scene("a round of status broadcasts of 24 agents, one each", _statuses, _nobody),
    Scene("the same every 15 minutes", _statuses_often, _nobody),
    Scene("the same as answers to all in one thread", _statuses_in_thread, _nobody),
    Scene("an incident: five agents, 160 messages", _incident, _nobody),
    Scene("a monitoring report every five minutes", _reports, _nobody),
    Scene("the same as one long thread", _thread_of_reports, _nobody),
    Scene("pair programming for three hours", _pair, _nobody),
    Scene("planner, coder, reviewer, round and round", _pipeline, _nobody),
)
"""What must never be damped."""


# What is measured


@dataclass(frozen=True, slots=True)
class Ended:
    """How a storm went: messages and minutes until it was damped and held, and its sign."""

    name: str
    signal: str
    damped: tuple[int, float] | None
    held: tuple[int, float] | None
    sent: int
    minutes: float


def ended(scene: Scene, limits: StormLimits) -> Ended:
    """Play a storm."""
    fleet = play(scene, limits)
    first: dict[str, tuple[int, float]] = {}
    for step, _, sent, minutes in fleet.steps:
        first.setdefault(step, (sent, minutes))
    signal = fleet.steps[0][1] if fleet.steps else "-"
    return Ended(
        scene.name, signal, first.get(DAMPED), first.get(HELD), fleet.sent, scene.until / MINUTE
    )


def reached(scene: Scene, limits: StormLimits, sign: str) -> int:
    """How far some work gets with one sign: the highest limit that it would trip."""
    low, high = 2, getattr(limits, sign) * 4
    off = replace(limits, turns=OFF, repeats=OFF, echoes=OFF)
    if not play(scene, replace(off, **{sign: low})).steps:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        if play(scene, replace(off, **{sign: middle})).steps:
            low = middle
        else:
            high = middle
    return low


def storms_table(limits: StormLimits) -> str:
    """What trips the guard, in Markdown."""
    lines = ["| storm | its sign | damped after | held after |", "|---|---|---|---|"]
    for scene in STORMS:
        one = ended(scene, limits)
        lines.append(f"| {one.name} | {one.signal} | {_when(one.damped)} | {_when(one.held)} |")
    return "\n".join(lines)


def work_table(limits: StormLimits) -> str:
    """How far work stays from the limits, in Markdown."""
    lines = ["| work | turns | repeats | echoes |", "|---|---|---|---|"]
    for scene in WORK:
        found = {sign: reached(scene, limits, sign) for sign in SIGNS}
        cells = [f"{found[sign]} of {getattr(limits, sign)}" for sign in SIGNS]
        lines.append(f"| {scene.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _when(point: tuple[int, float] | None) -> str:
    return "never" if point is None else f"{point[0]} messages, {point[1]:.0f} min"


def page(limits: StormLimits) -> str:
    """The page, with both tables as they are now."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("storms", storms_table(limits)), ("work", work_table(limits))):
        begin, end = f"<!-- {name}: made by bench/storm.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


def main() -> int:
    """Write the tables into the page, or say (exit code 1) whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    wanted = page(StormLimits())
    if wanted == PAGE.read_text(encoding="utf-8"):
        return 0
    if arguments.check:
        sys.stderr.write(f"{PAGE.name} is not up to date: python -m bench.storm\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
