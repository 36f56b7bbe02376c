"""`GET /api/hubs`: which hubs there are, for clients that choose among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.api.models.hubs import ClusterAnswer, HubsAnswer
from agent_bus.core import errors
from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.http.endpoint import bare
from agent_bus.http.route import Header, Route
from agent_bus.operate.hubs import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.operate.hubs.watch import HubsWatch
    from agent_bus.settings import Settings
    from agent_bus.store.cluster import Cluster, HubFacts

HEADERS: Final = (Header("Host"),)


class Hubs:
    """The endpoint: the settings say which hubs there are, the cluster how they are.

    Args:
        is_ready: whether this hub can take messages.
        version: the release that runs here.
        watch: what looks after the hubs and their database.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        settings: Settings,
        is_ready: Callable[[], bool],
        version: str,
        watch: HubsWatch,
    ) -> None:
        self._cluster = cluster
        self._name = settings.hub_name
        self._urls: dict[str, str | None] = {hub.name: hub.url for hub in settings.hubs}
        self._is_ready = is_ready
        self._version = version
        self._watch = watch

    def read(self, call: Call) -> Answer:
        """All hubs by name; this one with the address that the caller used, if no other is set."""
        known = self._known()
        names = sorted({self._name, *self._urls, *known})
        entries = [self._entry(name, known.get(name)) for name in names]
        own = entries[names.index(self._name)]
        own |= {"ready": self._is_ready(), "version": self._version, "answers": True}
        if own["url"] is None and "host" in call.headers:
            own["url"] = f"{call.scheme}://{call.headers['host']}"
        return Answer(200, {"hubs": entries})

    def cluster(self, call: Call) -> Answer:
        """The hubs with their database as this one knows them; a hub alone tells of itself."""
        state = self._watch.state
        if state is not None:
            return Answer(200, rows.cluster(state))
        names = ("name", "url", "version", "last_seen_at", "answers")
        content = self.read(call).content
        assert isinstance(content, dict)
        hubs = [
            {**{name: hub[name] for name in names}, "live": hub["answers"] or None}
            for hub in content["hubs"]
        ]
        return Answer(200, {"hubs": hubs, "database": None, "etcd": None, "words": []})

    def _entry(self, name: str, facts: HubFacts | None) -> dict[str, Any]:
        """What is known of a hub; of its readiness nothing, unless a cluster tells."""
        url = self._urls.get(name)
        if facts is None:
            return {
                "name": name,
                "url": url,
                "ready": None,
                "version": None,
                "last_seen_at": None,
                "answers": False,
            }
        return {
            "name": name,
            "url": url or facts.url,
            "ready": facts.is_alive,
            "version": facts.version,
            "last_seen_at": rfc3339(facts.seen_at or None),
            "answers": False,
        }

    def _known(self) -> dict[str, HubFacts]:
        """What the cluster knows; nothing while its database is out of reach."""
        try:
            return {facts.name: facts for facts in self._cluster.hubs()}
        except errors.BusError:
            return {}


def routes(hubs: Hubs) -> list[Route]:
    """The routes of both; see `api/routes.py`."""
    return [
        Route(
            "GET",
            "/hubs",
            bare(hubs.read),
            "Which hubs there are",
            "For clients that can go on to another hub when one does not answer. `ready` is false "
            "of a hub that the others do not hear.",
            answer=HubsAnswer,
            headers=HEADERS,
        ),
        Route(
            "GET",
            "/cluster",
            bare(hubs.cluster),
            "How the hubs and their database are",
            "Roles, how far standbys are behind, how many members are there and how many are "
            "needed, and etcd: as the hub knows it that answers, a few seconds old.",
            answer=ClusterAnswer,
            headers=HEADERS,
        ),
    ]
