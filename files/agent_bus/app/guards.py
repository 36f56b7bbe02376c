"""What is asked of the guards, given what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.agents import Agents
from agent_bus.api.guards import routes, wake_routes
from agent_bus.api.guards.rights import RightsCalls
from agent_bus.api.guards.storms import StormCalls
from agent_bus.api.guards.wakes import WakeCalls
from agent_bus.dashboard.actions import Actions

if TYPE_CHECKING:
    from agent_bus.api.messages import Messages
    from agent_bus.api.operator import Operator
    from agent_bus.app.assembly import Core
    from agent_bus.bus.auth import Authenticator
    from agent_bus.http.route import Route
    from agent_bus.operate.fleet import Fleet


def build_agents(core: Core, auth: Authenticator, fleet: Fleet) -> Agents:
    """The endpoints of the roster."""
    return Agents(
        bus=core.bus, auth=auth, directory=core.directory, fleet=fleet, pauses=core.pauses
    )


def build_wakes(core: Core) -> WakeCalls:
    """Pauses, and what wakes there were."""
    return WakeCalls(
        pauses=core.pauses,
        budgets=core.budgets,
        gate=core.gate,
        directory=core.directory,
        book=core.wake_book,
        clock=core.clock,
    )


def build_storms(core: Core) -> StormCalls:
    """Which storms there are, and their release."""
    return StormCalls(storm=core.storm, storms=core.storms)


def guard_routes(core: Core) -> list[Route]:
    """The operator's calls about all guards."""
    return [
        *routes.routes(RightsCalls(directory=core.directory), build_storms(core)),
        *wake_routes.routes(build_wakes(core)),
    ]


def build_actions(core: Core, *, messages: Messages, operator: Operator) -> Actions:
    """What the dashboard's buttons do."""
    wakes = build_wakes(core)
    return Actions(
        core.store,
        core.directory,
        messages=messages,
        operator=operator,
        wakes=wakes,
        storms=build_storms(core),
    )
