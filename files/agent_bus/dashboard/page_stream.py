"""The live stream of a browser: `fleet`, `feed` and `still` events until `bye`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.bus.broker import Stream
from agent_bus.core import sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_bus.bus.broker import Entry
    from agent_bus.http.call import Answer, AnyCall, Call
    from agent_bus.http.live import LiveStreams
    from agent_bus.http.session import Sessions
    from agent_bus.operate.overview import Overview


class PageStreams:
    """Opens the streams of browsers."""

    def __init__(self, *, overview: Overview, sessions: Sessions, live: LiveStreams) -> None:
        self._overview = overview
        self._sessions = sessions
        self._live = live

    def open(self, call: Call) -> Answer:
        """Show the fleet live, for as long as the session is open.

        Raises:
            errors.TooManyStreamsError: over a limit.
        """
        stream = Stream(
            node=None,
            only=frozenset(),
            is_watcher=False,
            wants_receipts=False,
            token_sha256=f"page {call.principal.sha256}",
            queue_limit=self._live.settings.stream_queue_events,
        )
        page = LivePage(
            call, stream, overview=self._overview, sessions=self._sessions, live=self._live
        )
        return self._live.open(call, stream, page)


class LivePage:
    """What a browser's stream carries: the whole fleet, then what changes."""

    never_blocks: Final = False  # with several hubs, a session may stand in the database only

    def __init__(
        self,
        call: AnyCall,
        stream: Stream,
        *,
        overview: Overview,
        sessions: Sessions,
        live: LiveStreams,
    ) -> None:
        self._call = call
        self._stream = stream
        self._overview = overview
        self._sessions = sessions
        self._settings = live.settings

    def resume_id(self) -> str:
        """Nowhere: a page begins with the whole fleet."""
        return ""

    def opened(self) -> None:
        """Nothing: the overview takes the page in with its first frame."""

    def opening(self) -> Iterator[bytes]:
        """The whole fleet."""
        yield f"retry: {self._settings.retry_ms}\n".encode() + self._overview.join(self._stream)

    def written(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        """All of it, while the session is open.

        Raises:
            errors.UnauthenticatedError: it is not any more.
        """
        self._sessions.require(self._call)
        yield b"".join([entry.frame for entry in entries])

    def quiet(self) -> bytes:
        """An event: a page cannot see comments, and by this it knows a quiet hub from a dead one.

        Raises:
            errors.UnauthenticatedError: the session is open no more.
        """
        self._sessions.require(self._call)
        return sse.control("still", {"keepalive_s": self._settings.keepalive_s})

    def closed(self) -> None:
        """Let the overview go on without the page."""
        self._overview.leave(self._stream)
