"""The operator's pages at `/`: fleet, messages, flow, latency, audit; and their live stream.

They read what the API reads and need a session instead of a token. What changes something is in
`actions.py`.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from agent_bus.api import stream
from agent_bus.api.models import fields
from agent_bus.bus.broker import Stream
from agent_bus.core import errors, sse
from agent_bus.core.model import OPERATOR, PRIORITIES, AgentName, MessageId, NodeName, rfc3339
from agent_bus.core.slices import HistorySlice, SearchSlice
from agent_bus.dashboard import page_requests
from agent_bus.dashboard.html import redirect
from agent_bus.dashboard.timeline import way
from agent_bus.http.call import Answer
from agent_bus.http.route import Route
from agent_bus.http.session import csrf_of, set_cookie

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from agent_bus.bus.broker import Broker
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Delivery, Found, Message, SearchPage
    from agent_bus.dashboard.actions import Actions
    from agent_bus.dashboard.html import Pages
    from agent_bus.dashboard.measures import Measures
    from agent_bus.http.call import Call
    from agent_bus.http.session import Sessions
    from agent_bus.operate.board import Board
    from agent_bus.runtime import greenlets
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Records, Store

PAGE: Final = 50
"""Messages on a page of the search."""
SEARCH_S: Final = 1.0
"""So long a search for text goes on before the operator is asked whether to look further."""
FIRST_ROWS: Final = 50
"""Agents in the first paint, problems first (45 KB); the stream brings the others."""
THREAD: Final = 200
"""Messages of a thread that are drawn; the hop limit ends a thread of agents at 50."""
AUDITED: Final = 200
ENTERED: Final = "entered"
"""Marks the first page after signing in: without the cookie there, the browser has not kept it."""
LOST: Final = (
    "You were signed in, but the browser did not keep the cookie of the session. Allow cookies for"
    " this address. Behind a proxy: X-Forwarded-Proto must say https only where the browser does."
)


class Dashboard:
    """The pages, with what they need.

    Args:
        refusals: counts problems by code; failed sign-ins count as wrong tokens.
        hang_ups: tells of browsers that are gone.
    """

    def __init__(
        self,
        *,
        store: Store,
        records: Records,
        directory: Directory,
        presence: Presence,
        broker: Broker,
        clock: Clock,
        measures: Measures,
        board: Board,
        sessions: Sessions,
        pages: Pages,
        settings: Settings,
        refusals: Counter[str],
        hang_ups: greenlets.HangUps,
    ) -> None:
        self._hang_ups = hang_ups
        self._store = store
        self._records = records
        self._directory = directory
        self._presence = presence
        self._broker = broker
        self._clock = clock
        self._measures = measures
        self._board = board
        self._sessions = sessions
        self._pages = pages
        self._settings = settings
        self._refusals = refusals

    def routes(self, actions: Actions) -> list[Route]:
        """Every path of the page; none of them is part of the API."""

        def get(path: str, endpoint: Callable[[Call], Answer], **more: Any) -> Route:  # noqa: ANN401 - of Route
            return Route("GET", path, endpoint, "", access="open", at_root=True, **more)

        def post(path: str, endpoint: Callable[[Call], Answer]) -> Route:
            return Route("POST", path, endpoint, "", access="open", at_root=True)

        show = self._guarded
        return [
            get("/", show(self.fleet), query=page_requests.FleetQuery),
            get("/login", self.login, query=page_requests.LoginQuery),
            post("/login", functools.partial(self.sign_in, actions)),
            post("/logout", functools.partial(self.sign_out, actions)),
            get("/messages", show(self.messages), query=page_requests.SearchQuery),
            get("/messages/<message_id>", show(self.message)),
            get("/flow", show(self.flow), query=page_requests.FlowQuery),
            get("/latency", show(self.latency), query=page_requests.LatencyQuery),
            get("/audit", show(self.audit)),
            get("/static/<digest>/<name>", self._pages.file),
            get("/ui/stream", self.stream),
            get("/ui/session", self.session),
            get("/ui/flows", self.flows, query=page_requests.FlowQuery),
            get("/ui/measures", self.measures, query=page_requests.LatencyQuery),
            *(post(f"/ui/{name}", one) for name, one in actions.endpoints().items()),
        ]

    def login(self, call: Call) -> Answer:
        """The sign-in page; a link's code is only redeemed by its button.

        Programs that look at links in advance must not use it up; and a cookie set on the way
        from another site would not be sent with the page that follows.
        """
        query = call.parse_query(page_requests.LoginQuery)
        return self._sign_in_page(code=query.link or "", words=LOST if query.lost else "")

    def sign_in(self, actions: Actions, call: Call) -> Answer:
        """Open a session."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        try:
            cookie = self._sessions.open(call, form.get("token", ""))
        except errors.BusError as error:
            self._refusals[error.code] += 1
            words = {
                "unauthenticated": "That is no valid admin token, or the link was used already.",
            }.get(error.code, error.detail)
            return self._sign_in_page(status=error.status, words=words)
        actions.audit.log(call, "page", "sign_in")
        return redirect(f"/?{ENTERED}=1", Set_Cookie=set_cookie(call, cookie))

    def sign_out(self, actions: Actions, call: Call) -> Answer:
        """End the session."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        try:
            self._sessions.require_write(call, proof=form.get("csrf", ""))
        except errors.UnauthenticatedError:
            return redirect("/login")
        self._sessions.close(call)
        actions.audit.log(call, "page", "sign_out")
        return redirect("/login", Set_Cookie=set_cookie(call, ""))

    def fleet(self, call: Call) -> Answer:
        """Every agent, problems first."""
        shown = self._board.fleet()
        return self._show(call, "fleet", **{**shown, "agents": shown["agents"][:FIRST_ROWS]})

    def messages(self, call: Call) -> Answer:
        """Search."""
        query = call.parse_query(page_requests.SearchQuery)
        page = self._search(query)
        asked = {name: call.query.get(name, "") for name in ("agent", "text", "since", "until")}
        older = "" if page.before is None else urlencode({**asked, "before": page.before})
        return self._show(call, "messages", found=page, older=older, asked=asked)

    def message(self, call: Call) -> Answer:
        """One message with the way of each delivery and its thread."""
        message_id = MessageId(call.path["message_id"])
        found = self._store.message(message_id)
        if found is None:
            raise errors.UnknownMessageError(message_id)
        message, deliveries = found
        now = self._clock.now_ms()
        ways = [
            way(d, node=self._directory.node_of(d.agent), status=self._presence.status(d.agent),
                now=now)
            for d in deliveries
        ]  # fmt: skip
        ways.sort(key=lambda one: (one.failed is None, one.delivery.read_at is not None))
        return self._show(
            call, "message", message=message, ways=ways, thread=self._thread(message.thread_id)
        )

    def flow(self, call: Call) -> Answer:
        """Who talks to whom, and what is being said now."""
        query = call.parse_query(page_requests.FlowQuery)
        recent = self._records.search(SearchSlice(limit=PAGE))
        return self._show(
            call,
            "flow",
            window=query.window,
            windows=list(page_requests.WINDOWS),
            picture=self._flows(query.window),
            recent=recent.messages,
        )

    def latency(self, call: Call) -> Answer:
        """How long the hops take, on the whole or to one host."""
        host = call.parse_query(page_requests.LatencyQuery).host
        return self._show(call, "latency", host=host, measured=self._measured(host))

    def audit(self, call: Call) -> Answer:
        """What was done by hand."""
        return self._show(call, "audit", entries=self._records.audit(limit=AUDITED))

    def session(self, call: Call) -> Answer:
        """Whether the session is still open: 204, or 401."""
        self._sessions.require(call)
        return Answer(204)

    def flows(self, call: Call) -> Answer:
        """The flow view's figures."""
        self._sessions.require(call)
        return Answer(200, self._flows(call.parse_query(page_requests.FlowQuery).window))

    def measures(self, call: Call) -> Answer:
        """The latency view's figures."""
        self._sessions.require(call)
        return Answer(200, self._measured(call.parse_query(page_requests.LatencyQuery).host))

    def stream(self, call: Call) -> Answer:
        """The live stream of a browser: `fleet`, `feed` and `still` events until `bye`."""
        principal = self._sessions.require(call)
        page = Stream(
            node=None,
            only=frozenset(),
            is_watcher=False,
            wants_receipts=False,
            token_sha256=f"page {principal.sha256}",
            queue_limit=self._settings.stream_queue_events,
        )
        stream.bound_writes(call.socket, self._settings.write_timeout_s)
        try:
            self._broker.admit(page)
        except errors.NotReadyError:  # as in stream.py: a refusal would be for good
            bye = sse.bye("shutdown", retry_ms=self._settings.retry_ms)
            return Answer(200, headers=stream.HEADERS, frames=[bye])
        page.socket = call.socket
        if page.socket is not None:
            self._hang_ups.watch(page.socket, functools.partial(page.end, stream.GONE))
        return Answer(200, headers=stream.HEADERS, frames=self._frames(call, page))

    def _frames(self, call: Call, page: Stream) -> Iterator[bytes]:
        clock, settings = self._clock, self._settings
        deadline = clock.monotonic() + settings.stream_lifetime_s
        # A page cannot see comments: with this it can tell a quiet hub from one that is gone.
        still = sse.control("still", {"keepalive_s": settings.keepalive_s})
        try:
            yield f"retry: {settings.retry_ms}\n".encode() + self._board.join(page)
            while True:
                entries = page.take(settings.keepalive_s)
                self._sessions.require(call)
                if not entries and page.end_reason is not None:
                    break
                if clock.monotonic() >= deadline:
                    page.end("lifetime")
                yield b"".join([entry.frame for entry in entries]) or still
        except errors.UnauthenticatedError:
            page.end("revoked")
        finally:
            if page.socket is not None:
                self._hang_ups.forget(page.socket)
            self._board.leave(page)
            self._broker.leave(page)
        if page.end_reason == stream.GONE:
            raise BrokenPipeError(errno.EPIPE, "The browser is gone")
        yield sse.bye(page.end_reason or "lifetime", retry_ms=settings.retry_ms)

    def _flows(self, window: str) -> dict[str, Any]:
        since = self._clock.now_ms() - page_requests.WINDOWS[window] * 1000
        found = self._records.flows(since=since)
        nodes = self._directory.roster.agents
        names = {name for flow in found.flows for name in (flow.sender, flow.agent)}
        return {
            "window": window,
            "since": rfc3339(found.since),
            "agents": {name: nodes.get(name) for name in sorted(names)},
            "flows": [[flow.sender, flow.agent, flow.count] for flow in found.flows],
        }

    def _search(self, query: page_requests.SearchQuery) -> SearchPage:
        """A page of the search; a text is looked for step by step until a second has passed."""
        clock = self._clock
        deadline = clock.monotonic() + SEARCH_S
        found: list[Found] = []
        before = query.before
        while True:
            wanted = SearchSlice(
                agent=AgentName(query.agent) if query.agent else None,
                text=query.text or None,
                since=fields.milliseconds(query.since or None),
                until=fields.milliseconds(query.until or None),
                before=before,
                limit=PAGE - len(found),
            )
            page = self._records.search(wanted)
            found += page.messages
            before = page.before
            if not page.is_cut or clock.monotonic() >= deadline:
                return dataclasses.replace(page, messages=found)

    def _measured(self, host: str) -> dict[str, Any]:
        if host:
            return self._measures.of_host(NodeName(host))
        return self._measures.of_fleet(self._board.samples)

    def _thread(self, thread_id: MessageId) -> list[tuple[int, Message, list[Delivery]]]:
        """(depth, message, deliveries) of a thread, archived ones too, each below its parent."""
        found = [
            entry
            for archived in (True, False)
            for entry in self._store.history(
                HistorySlice(thread=thread_id, archived=archived, limit=THREAD)
            )
        ]
        there = {message.id for message, _ in found}
        below: dict[MessageId | None, list[tuple[Message, list[Delivery]]]] = {}
        for entry in found:
            parent = entry[0].reply_to if entry[0].reply_to in there else None
            below.setdefault(parent, []).append(entry)
        ordered: list[tuple[int, Message, list[Delivery]]] = []
        waiting: list[tuple[int, Message, list[Delivery]]]
        waiting = [(0, *entry) for entry in reversed(below.get(None, []))]
        while waiting:
            depth, message, deliveries = waiting.pop()
            ordered.append((depth, message, deliveries))
            waiting += [(depth + 1, *e) for e in reversed(below.get(message.id, []))]
        return ordered

    def _guarded(self, show: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        """A page for who is signed in; errors become pages, too."""

        def guarded(call: Call) -> Answer:
            try:
                self._sessions.require(call)
                return show(call)
            except errors.UnauthenticatedError:
                return redirect("/login?lost=1" if ENTERED in call.query else "/login")
            except errors.BusError as error:
                return self._show(call, "error", error=error, status=error.status)

        return guarded

    def _show(self, call: Call, name: str, *, status: int = 200, **context: object) -> Answer:
        return self._pages.page(
            name,
            status=status,
            page=name,
            csrf=csrf_of(call),
            now=self._clock.now_ms(),
            rfc3339=rfc3339,
            priorities=PRIORITIES,
            operator=OPERATOR,
            **context,
        )

    def _sign_in_page(self, *, status: int = 200, code: str = "", words: str = "") -> Answer:
        return self._pages.page("login", status=status, code=code, words=words)
