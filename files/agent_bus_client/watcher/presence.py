"""The presence thread: watches what takes the wakes, and tells the hub that the node is alive."""

from __future__ import annotations

import logging
import threading
import time

from agent_bus_client import release
from agent_bus_client.api import GatewayKind, GatewayState, Problem
from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus_client.agents import Agent
    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.settings import Settings
    from agent_bus_client.waker.gateway import Gateway
    from agent_bus_client.waker.outcome import Waker

logger = logging.getLogger(__name__)

TURN_CHECK_S = 300.0  # asking starts a turn service that is not running: 0.1 s of CPU
TURN_DOWN_CHECK_S = 30.0
DOWN_CHECK_S = 5.0  # a gateway that is down is checked more often, so that mail waits less long


class GatewayReturned(Record):
    """The gateway answers again after it was silent."""


class TurnsReturned(Record):
    """An agent's turns can be started again."""

    agent: str


class _TurnService:
    """What is known of the turn service of one agent."""

    def __init__(self, waker: Waker) -> None:
        self.waker = waker
        self.up = True
        self.check_at = float("-inf")


class PresenceThread(threading.Thread):
    """Checks the gateway and reports presence every `presence_interval_s`.

    Reports go to the hub that the stream is on.

    Attributes:
        up: whether the gateway answers.
        gateway_kind: what the wakes have shown of it.
        unconfigured: agents that the hub has on this node, but that have no settings here.
        elsewhere: agents with settings here that the hub has on other nodes. It would refuse a
            whole report because of them, and with it the sign of life of the others.
    """

    def __init__(
        self,
        hubs: Hubs,
        settings: Settings,
        gateway: Gateway,
        put: Callable[[object], None],
        *,
        turns: dict[str, Waker] | None = None,
    ) -> None:
        """Take the wakers of agents with a turn service, by their names, as `turns`."""
        super().__init__(name="presence", daemon=True)
        self._hubs = hubs
        self._settings = settings
        self._gateway = gateway
        self._put = put
        self._uses_gateway = any(agent.uses_gateway for agent in settings.agents)
        self._turns = {name: _TurnService(waker) for name, waker in (turns or {}).items()}
        self._stopping = threading.Event()
        self._poked = threading.Event()
        self.up = True
        self.gateway_kind = GatewayKind.UNKNOWN
        self._tells_kind = True
        self.unconfigured: list[str] = []
        self.elsewhere: frozenset[str] = frozenset()
        self._moving = threading.Lock()

    def poke(self) -> None:
        """Check and report at once, for the stream has connected or a wake has failed."""
        self._poked.set()

    def doubt(self, agent: str) -> None:
        """Check at once what takes this agent's wakes: one has failed, or the first came through.

        A turn service that failed before is asked again, too: it may be well since.
        """
        if agent in self._turns:
            self._turns[agent].check_at = float("-inf")
            self.poke()
        elif self.up:
            self.poke()

    def leave_out(self, moved: list[str], *, are_all: bool = False) -> None:
        """Stop reporting on agents that the hub has on other nodes, and warn of each only once.

        A refused report and the hello of a stream tell the same, in either order.

        Args:
            moved: such agents.
            are_all: whether all others are here.
        """
        with self._moving:
            news = [name for name in moved if name not in self.elsewhere]
            self.elsewhere = frozenset(moved) if are_all else self.elsewhere.union(moved)
        if news:
            logger.warning(
                "agents with settings here are on other nodes now: run the site playbook",
                extra={"agents": news},
            )

    def take_in(self, agent: str) -> None:
        """Report on an agent that is here, whether or not it was on another node."""
        with self._moving:
            self.elsewhere -= {agent}

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._poked.set()

    def run(self) -> None:
        """Check, report and wait, until `stop`."""
        reported_at, reported, force = float("-inf"), self._states(), False
        while not self._stopping.is_set():
            try:
                self._check_gateway()
                self._check_turns()
                now = time.monotonic()
                late = now - reported_at >= self._settings.presence_interval_s
                if force or late or reported != self._states():
                    reported_at, reported = now, self._states()
                    self._report()
            except ClientError as error:  # the stream thread logs it more loudly
                logger.debug("presence was not reported", extra={"reason": str(error)})
            except Exception:
                logger.exception("presence thread failed, going on")
            interval_s = self._settings.presence_interval_s
            well = self.up and all(service.up for service in self._turns.values())
            force = self._poked.wait(interval_s if well else min(DOWN_CHECK_S, interval_s))
            self._poked.clear()

    def _check_gateway(self) -> None:
        if not self._uses_gateway:
            return
        outcome = self._gateway.check()
        before, self.up = self.up, outcome.is_accepted
        url = self._settings.gateway_url
        if self.up and not before:
            logger.info("gateway answers again", extra={"gateway": url})
            self._gateway.returned()
            self._put(GatewayReturned())
        elif before and not self.up:
            extra = {"gateway": url, "reason": outcome.detail or outcome.reason}
            logger.warning("gateway does not answer", extra=extra)

    def _states(self) -> list[bool]:
        return [self.up, *(service.up for service in self._turns.values())]

    def _check_turns(self) -> None:
        for name, service in self._turns.items():
            now = time.monotonic()
            if now < service.check_at:
                continue
            service.check_at = now + TURN_CHECK_S
            outcome = service.waker.check()
            before, service.up = service.up, outcome.is_accepted
            if not service.up:
                service.check_at = min(service.check_at, now + TURN_DOWN_CHECK_S)
            if service.up and not before:
                logger.info("turns can be started again", extra={"agent": name})
                self._put(TurnsReturned(name))
            elif before and not service.up:
                extra = {"agent": name, "reason": outcome.reason, "fix": outcome.fix}
                logger.warning("turns cannot be started, or fail", extra=extra)

    def _report(self) -> None:
        try:
            self._report_own()
        except HubRefusedError as refusal:
            if self._tells_kind and refusal.status in {400, 422}:
                self._tells_kind = False  # the hub went back to a release without the field
                self._report_own()
                return
            moved = refusal.fields.get("agents")
            if refusal.problem != Problem.FORBIDDEN or not isinstance(moved, list):
                raise
            self.leave_out(moved)
            self._report_own()

    def _report_own(self) -> None:
        agents = [
            {"name": agent.name, "gateway": self._state(agent)}
            for agent in self._settings.agents
            if agent.name not in self.elsewhere
        ]
        body: dict[str, object] = {
            "node_version": release.current(),
            "agents": agents,
            "unconfigured": self.unconfigured,
        }
        if self._tells_kind:
            body["gateway_kind"] = self.gateway_kind
        self._hubs.current.call("POST", "/api/presence", body=body)

    def _state(self, agent: Agent) -> GatewayState:
        """Return whether what takes the agent's wakes is there; a command always is."""
        service = self._turns.get(agent.name)
        up = service.up if service else self.up or not agent.uses_gateway
        return GatewayState.OK if up else GatewayState.DOWN
