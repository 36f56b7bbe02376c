"""The operator's calls: wake, mute and probe agents, back up, archive, sign a browser in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core import states
from agent_bus.core.guards.pauses import AGENT
from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.http.session import LINK_S

if TYPE_CHECKING:
    from agent_bus.api.models.requests import MuteBody, ProbeBody
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.pauses import Pauses
    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.bus.probes import Prober
    from agent_bus.http.session import Sessions
    from agent_bus.operate.backups import Backups
    from agent_bus.operate.retention import Housekeeper


class Operator:
    """The endpoints, with what they need; those of wakes and mutes also for the dashboard."""

    def __init__(
        self,
        *,
        bus: Bus,
        pauses: Pauses,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        hops: Hops,
        prober: Prober,
        housekeeper: Housekeeper,
        backups: Backups,
        sessions: Sessions,
    ) -> None:
        self._bus = bus
        self._pauses = pauses
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._hops = hops
        self._prober = prober
        self._housekeeper = housekeeper
        self._backups = backups
        self._sessions = sessions

    def wake(self, call: Call) -> Answer:
        """Let an agent's watcher wake it again."""
        return self.wake_agent(call.path["name"])

    def mute(self, call: Call[None, MuteBody]) -> Answer:
        """Let an agent's watcher leave it alone for a while."""
        return self.mute_agent(call.path["name"], for_s=call.body.for_s)

    def wake_agent(self, name: str) -> Answer:
        """As `wake`, for the dashboard, which names the agent in the body."""
        agent = self._directory.require(name, field="name")
        node = self._bus.wake(agent)
        content = {
            "agent": agent,
            "node": node,
            "status": self._presence.status(agent),
            "unfetched": self._counters.mailbox(agent).unfetched,
        }
        return Answer(200, content)

    def mute_agent(self, name: str, *, for_s: float) -> Answer:
        """As `mute`, for the dashboard, which names the agent in the body."""
        agent = self._directory.require(name, field="name")
        if for_s:
            self._pauses.put(AGENT, agent, for_s=for_s, note=None, is_mute=True)
        else:
            self._pauses.end_mute(agent)
        until = rfc3339(self._pauses.muted_until(agent))
        return Answer(200, {"agent": agent, "muted_until": until})

    def probe(self, call: Call[None, ProbeBody]) -> Answer:
        """Ask watchers whether they could wake their agents; wakes nobody. Guests have none."""
        directory = self._directory
        if call.body.agents is None:
            known = sorted(directory.roster.agents)
            agents = [name for name in known if self._presence.status(name) != states.GUEST]
        else:
            agents = [directory.require(name, field="agents") for name in call.body.agents]
        probe_id, results = self._prober.run(agents, timeout_s=5.0)
        with_status = [{**r, "status": self._presence.status(r["agent"])} for r in results]
        return Answer(200, {"probe_id": probe_id, "results": with_status})

    def backup(self, _call: Call) -> Answer:
        """Make a backup."""
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

    def archive(self, _call: Call) -> Answer:
        """Run retention now."""
        return Answer(200, {"touched": self._housekeeper.sweep()})

    def login_link(self, call: Call) -> Answer:
        """Make a link that signs a browser in once."""
        code = self._sessions.link(call.principal)
        return Answer(201, {"path": f"/login?link={code}", "expires_in_s": LINK_S})
