"""The operator's calls: wake and mute an agent, back up, archive; the admin token only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.messages import require_admin
from agent_bus.api.models import requests
from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.http.session import LINK_S

if TYPE_CHECKING:
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.core.model import AgentName
    from agent_bus.http.session import Sessions
    from agent_bus.operate.backups import Backups
    from agent_bus.operate.retention import Housekeeper


class Operator:
    """The endpoints, with what they need."""

    def __init__(
        self,
        *,
        bus: Bus,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        hops: Hops,
        housekeeper: Housekeeper,
        backups: Backups,
        sessions: Sessions,
    ) -> None:
        self._bus = bus
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._hops = hops
        self._housekeeper = housekeeper
        self._backups = backups
        self._sessions = sessions

    def wake(self, call: Call) -> Answer:
        """Let an agent's watcher wake it again."""
        agent = self._agent(call)
        node = self._bus.wake(agent)
        content = {
            "agent": agent,
            "node": node,
            "status": self._presence.status(agent),
            "unfetched": self._counters.mailbox(agent).unfetched,
        }
        return Answer(200, content)

    def mute(self, call: Call) -> Answer:
        """Let an agent's watcher leave it alone for a while."""
        agent = self._agent(call)
        body = call.parse_body(requests.MuteBody)
        self._bus.mute(agent, for_s=body.for_s)
        until = rfc3339(self._presence.muted_until(agent))
        return Answer(200, {"agent": agent, "muted_until": until})

    def backup(self, call: Call) -> Answer:
        """Make a backup."""
        require_admin(call.principal)
        self._hops.flush()
        made = self._backups.make()
        content = {
            "path": str(made.path),
            "bytes": made.size_bytes,
            "sha256": made.sha256,
            "epoch": made.epoch,
            "schema_version": made.schema_version,
        }
        return Answer(200, content)

    def archive(self, call: Call) -> Answer:
        """Run retention now."""
        require_admin(call.principal)
        return Answer(200, {"touched": self._housekeeper.sweep()})

    def login_link(self, call: Call) -> Answer:
        """Make a link that signs a browser in once."""
        require_admin(call.principal)
        code = self._sessions.link(call.principal)
        return Answer(201, {"path": f"/login?link={code}", "expires_in_s": LINK_S})

    def _agent(self, call: Call) -> AgentName:
        require_admin(call.principal)
        return self._directory.require(call.path["name"], field="name")
