"""What simulated fleets do: storms, which must end by themselves, and work, which must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.model import AgentName
from bench.storm_fleet import (
    ACKS,
    FLEET,
    HOUR,
    MINUTE,
    PACE_S,
    THANKS,
    Agents,
    Fleet,
    Mail,
    Scene,
    answers,
    checklist,
    prose,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Storms


def _ping(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    answers(fleet, agent, mail, f"I have received your message and noted it. Regards, {agent}")


def _ping_anew(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    body = prose(fleet.dice, 60)
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (mail.sender,), body))


def _ping_same_anew(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    body = f"I have received your message and noted it. Regards, {agent}"
    fleet.after(fleet.pace(*PACE_S), lambda: fleet.send(agent, (mail.sender,), body))


def _thank(fleet: Fleet, agent: AgentName, mail: Mail) -> None:
    answers(fleet, agent, mail, fleet.dice.choice(THANKS))


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
