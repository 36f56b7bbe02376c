"""Looks at a fleet under a fault: who leads, what is accepted, what is left behind."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from lab.faults.hubs.fleet import NO_ANSWER
from lab.paths import LabError
from lab.probe.running import until

if TYPE_CHECKING:
    from lab.faults.hubs.clients import Clients
    from lab.faults.hubs.fleet import HubsFleet

DATABASE = "agent-bus-database"
STUCK_S = 8
WRITE = (
    f"timeout {STUCK_S} runuser -u postgres -- psql -h /run/agent-bus-database -XAtc"
    " 'CREATE TABLE IF NOT EXISTS lab_left_behind (one int)' postgres 2>&1 || echo refused $?"
)


class Witness:
    """Asks the fleet, and reads what its clients note."""

    def __init__(self, fleet: HubsFleet, clients: Clients) -> None:
        self._fleet = fleet
        self._clients = clients

    def accepts(self, besides: str = "") -> None:
        """Wait until a hub accepts a send again."""
        began = time.time()

        def accepted() -> bool:
            sent = self._clients.notes().sent
            return any(one.at > began and one.hub != besides for one in sent)

        until(accepted, what="a send is accepted")

    def refuses(self, left: str, kept: str) -> None:
        """Fail unless the last hub refuses sends clearly, and reads, and a command keeps one."""
        began = time.time()

        def refused() -> bool:
            failed = self._clients.notes().failed
            return any(one.at > began and one.hub == left and one.status for one in failed)

        until(refused, what=f"{left} refuses a send")
        assert self._fleet.apis[left].get("/api/history?limit=1")["messages"]
        words = f"agent-bus send --json --as bert --to cleo '{kept}'"
        answer = json.loads(self._fleet.running.as_user("hazel", words))
        assert answer["spooled"], answer

    def arrives(self, body: str) -> None:
        """Wait until the hubs store a message that a command has kept."""

        def is_stored() -> bool:
            with contextlib.suppress(*NO_ANSWER):
                return any(one.body == body for one in self._fleet.stored())
            return False

        until(is_stored, what=f"'{body}' leaves the outbox")

    def listens(self, hub: str) -> None:
        """Wait until all clients have a stream at a hub."""
        until(lambda: self._clients.places() == {hub}, what=f"all clients listen at {hub}")

    def still_leads(self, hub: str) -> None:
        """Fail unless a hub's Patroni runs and nobody else leads."""

        def is_active() -> bool:
            return (
                "active" in self._fleet.on(hub, f"systemctl is-active {DATABASE} || true").split()
            )

        until(is_active, what="systemd starts Patroni again")
        assert self._fleet.leader() in {hub, ""}

    def is_left_behind(self, hub: str) -> None:
        """Fail unless another one leads and the old primary acknowledges nothing more."""
        others = self._fleet.database.others(hub)

        def deposed() -> bool:
            return self._fleet.database.leader(asked=others[0]) in others

        until(deposed, what=f"another than {hub} leads")
        self.accepts()
        said = self._fleet.on(hub, WRITE)
        assert "refused" in said, f"{hub}'s old primary acknowledged a write: {said}"

    def is_ready(self, hub: str) -> bool:
        """Tell whether a hub takes calls."""
        with contextlib.suppress(*NO_ANSWER):
            return bool(self._fleet.apis[hub].get("/readyz")["ready"])
        return False

    def leader(self) -> str:
        """Return who has the primary.

        Raises:
            LabError: nobody has.
        """
        leader = self._fleet.leader()
        if not leader:
            raise LabError("no hub has the primary")
        return leader

    def standby(self) -> str:
        """Return a hub whose database follows the primary's."""
        return self._fleet.database.others(self.leader())[-1]
