"""Learns which kind of gateway a node has, from when turns follow wakes. Pure, like `episode`.

Up to 2026.9 OpenClaw starts a woken turn as a heartbeat: at most five turns of one agent in a
minute, and none while any agent of the gateway is in a turn. In its later public source, a wake
starts an ordinary follow-up turn, which waits only for the agent's own turn. The version does not
matter here; what counts is a turn that a heartbeat engine cannot have started:

    six turns of one agent within a minute, each begun by its own wake
    a turn that began while another agent had mail in hand, before and after

Three of these, with nothing against them, make the kind `follow-up`. One wake that no turn answers
in time makes it `heartbeat` again at once. A wrong guess costs one wake that is held back.

A turn shows by its fetch. Mail is in hand from its fetch until its ack. A wake of an agent that
has mail in hand proves nothing, since the turn that has the mail may fetch again. Nor do wakes
soon after it: it may start a turn that finds no mail at first, and fetches what a later wake was
for. The same holds for a wake beside one that no turn has answered.
"""

from __future__ import annotations

from agent_bus_client.api import GatewayKind

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional


NEEDED = 3
GUARD_TURNS, GUARD_S = 5, 60.0
"""OpenClaw's flood guard: after this many turns, the next waits until the first is this old."""
SETTLED_S = 3.0
"""Turns that are asked for together start together, up to four, in a heartbeat engine, too."""
TURN_S = 600.0  # OpenClaw's own limit for a turn: after it nobody has the mail in hand
ROOM_S = 5.0  # a turn needs a while from its wake to its fetch
NEVER = float("-inf")
TRY_AGAIN_S = 600.0  # after a wake that came too early for the guard


class _Agent:
    """What is known of one agent's turns."""

    def __init__(self, hand_count: int = 0) -> None:
        self.woken_at: Optional[float] = None  # when the wake came that no turn has answered yet
        self.early = False
        self.turns: list[tuple[float, float]] = []  # (woken, fetched) of the last five
        self.hand_since: Optional[float] = None
        self.hand_count = hand_count
        self.of_gateway = False  # woken through the gateway; turns by a command run elsewhere
        self.unsure_until = NEVER  # a turn that has not shown yet may fetch for another's wake


class GatewayObserver:
    """What the wakes of one node have shown of its gateway; times are of one monotonic clock.

    Attributes:
        kind: unknown, heartbeat or follow-up; the first two are treated alike.
    """

    def __init__(self) -> None:
        self.kind: GatewayKind = GatewayKind.UNKNOWN
        self._agents: dict[str, _Agent] = {}
        self._beside: list[tuple[str, float]] = []  # who had mail in hand, since when
        self._evidence = 0
        self._no_try_until = NEVER

    @property
    def relaxed(self) -> bool:
        """Whether the gateway needs no spacing between wakes."""
        return self.kind is GatewayKind.FOLLOW_UP

    def woken(self, now: float, name: str, *, early: bool) -> None:
        """Note an accepted wake; `early`: sooner than a heartbeat engine would answer it."""
        agent = self._agents.setdefault(name, _Agent())
        agent.of_gateway = True
        if agent.hand_count or agent.woken_at is not None:
            agent.unsure_until = now + TURN_S
        if agent.hand_count:
            agent.woken_at = None
        elif agent.woken_at is None:
            agent.woken_at, agent.early = now, early

    def hands(self, now: float, name: str, in_hand: int, *, looked: bool) -> None:
        """Note how much mail an agent has in hand, whenever that may have changed.

        `looked`: it may have fetched, since less is unfetched than before.
        """
        agent = self._agents.get(name)
        if agent is None:  # the first count: the mail was in hand before
            self._agents[name] = _Agent(hand_count=in_hand)
            return
        before, agent.hand_count = agent.hand_count, in_hand
        if in_hand > before:
            self._fetched(now, name, agent)
            agent.hand_since = now
        elif in_hand == 0 and before and agent.hand_since is not None:
            proven = [held for held in self._beside if held == (name, agent.hand_since)]
            if proven and now - agent.hand_since < TURN_S:
                self._proven()
        if looked or in_hand == 0:  # an agent that fetches again may have begun another turn
            self._beside = [held for held in self._beside if held[0] != name]
        if in_hand == 0:
            agent.hand_since = None

    def late(self, now: float, name: str) -> None:
        """Note that no turn answered an accepted wake in time: all evidence is dropped."""
        self.kind = GatewayKind.HEARTBEAT
        self._doubted(now)
        if name in self._agents:
            agent = self._agents[name]
            agent.woken_at, agent.unsure_until = None, now + TURN_S  # its turn may still come

    def busy(self, now: float, name: str) -> bool:
        """Tell whether an agent seems to be in a turn, for which its next wake has to wait."""
        agent = self._agents.get(name)
        since = agent.hand_since if agent else None
        return since is not None and now - since < TURN_S

    def tries(self, now: float, name: str) -> bool:
        """Tell whether the next wake of an agent may come early, to see what the gateway does.

        Only if a heartbeat engine would start the turn no later than after a wake at the usual
        pace.
        """
        agent = self._agents.get(name)
        is_clear = agent and agent.woken_at is None and now >= agent.unsure_until
        turns = agent.turns if agent and is_clear else []
        full = len(turns) == GUARD_TURNS and now < turns[0][0] + GUARD_S - ROOM_S
        return full and not self.relaxed and now >= self._no_try_until

    def forget(self) -> None:
        """Forget all: the gateway was away, and another version may be running now."""
        self.kind = GatewayKind.UNKNOWN
        self._doubted(NEVER)
        self.lose_sight()

    def lose_sight(self) -> None:
        """Forget the mailboxes: their changes were not seen for a while, or are not sent now."""
        self._agents.clear()
        self._beside.clear()

    def _fetched(self, now: float, name: str, agent: _Agent) -> None:
        woken_at, agent.woken_at = agent.woken_at, None
        if woken_at is None or now < agent.unsure_until:
            return
        guarded_until = NEVER
        if len(agent.turns) == GUARD_TURNS:
            guarded_until = agent.turns[0][0] + GUARD_S
        if now < guarded_until:
            self._proven()
        elif agent.early and woken_at < guarded_until - ROOM_S:
            self._doubted(now)
        agent.turns = [*agent.turns, (woken_at, now)][-GUARD_TURNS:]
        for other, held in self._agents.items():
            since = held.hand_since if held.of_gateway and other != name else None
            if since is not None and since + SETTLED_S <= woken_at:
                self._beside.append((other, since))

    def _proven(self) -> None:
        self._evidence += 1
        if self._evidence >= NEEDED:
            self.kind = GatewayKind.FOLLOW_UP

    def _doubted(self, now: float) -> None:
        self._evidence = 0
        self._beside.clear()
        self._no_try_until = now + TRY_AGAIN_S
