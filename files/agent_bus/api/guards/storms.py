"""`/api/storms`: which threads and pairs are damped or held, and the operator's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    from agent_bus.api.models.storms import ReleaseBody
    from agent_bus.bus.guards.storm import StormWatch
    from agent_bus.store.guards.storms import Storms

PAST: Final = 50
"""Storms of the past in one answer: they are rare, and the operator's mailbox has all."""


class StormCalls:
    """The endpoints; `release` also for the dashboard."""

    def __init__(self, *, storm: StormWatch, storms: Storms) -> None:
        self._storm = storm
        self._storms = storms

    def read(self, _call: Call) -> Answer:
        """What is damped or held now, and what was held."""
        past = [
            {
                "key": one.key,
                "signal": one.signal,
                "agents": list(one.agents),
                "held_at": rfc3339(one.held_at),
                "released_at": rfc3339(one.released_at),
            }
            for one in self._storms.newest(limit=PAST)
            if one.released_at is not None
        ]
        return Answer(200, {"storms": self._storm.rows(), "past": past})

    def release(self, call: Call[None, ReleaseBody]) -> Answer:
        """Let a storm go on."""
        storm = self._storm.release(call.body.what)
        return Answer(200, {"key": storm.key, "agents": list(storm.agents)})
