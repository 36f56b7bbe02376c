"""The dashboard at `/`, the operator's web page: fleet, messages, flow, latency, audit.

Its pages read what the API reads and need a session instead of a token. What changes something is
in `actions.py`, what opens a session in `sign_in.py`, what goes on live in `page_stream.py`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from agent_bus.api.models import fields
from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, PRIORITIES, AgentName, MessageId, NodeName, rfc3339
from agent_bus.core.slices import HistorySlice, SearchSlice
from agent_bus.dashboard.html import redirect
from agent_bus.dashboard.page_requests import (
    WINDOWS,
    FleetQuery,
    FlowQuery,
    LatencyQuery,
    SearchQuery,
)
from agent_bus.dashboard.sign_in import ENTERED
from agent_bus.dashboard.timeline import way
from agent_bus.http.call import Answer
from agent_bus.http.endpoint import bare, with_query
from agent_bus.http.route import Route
from agent_bus.http.session import SESSION_HEADERS, csrf_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.questions import Questions
    from agent_bus.bus.presence import Presence
    from agent_bus.channels.channels import Channels
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import Delivery, Found, Message, SearchPage, Seq
    from agent_bus.dashboard.html import Pages
    from agent_bus.dashboard.measures import Measures, WakeTable
    from agent_bus.dashboard.page_stream import PageStreams
    from agent_bus.http.call import AnyCall, Call
    from agent_bus.http.endpoint import Endpoint
    from agent_bus.operate.overview import Overview
    from agent_bus.store.contract import Records, Store
    from agent_bus.store.guards.storms import Storms
    from agent_bus.store.outgoing import Telling
    from agent_bus.store.pending import Pending

PAGE: Final = 50
"""Messages on a page of the search."""
SEARCH_S: Final = 1.0
"""How long a search for text goes on before the operator is asked whether to look further."""
FIRST_ROWS: Final = 50
"""Agents in the first paint, problems first (45 KB); the stream brings the others."""
THREAD: Final = 200
"""Messages of a thread that are drawn; a thread of agents ends at a depth of 50."""
AUDITED: Final = 200
QUESTIONS: Final = 10
"""Open questions above the fleet: who has more reads them as messages."""


class Dashboard:
    """The pages, with what they need."""

    def __init__(
        self,
        *,
        store: Store,
        records: Records,
        directory: Directory,
        presence: Presence,
        clock: Clock,
        measures: Measures,
        wakes: WakeTable,
        overview: Overview,
        pages: Pages,
        page_streams: PageStreams,
        questions: Questions,
        pending: Pending,
        storms: Storms,
        channels: Channels,
        tellings: Callable[[Sequence[Seq]], Sequence[Telling]],
    ) -> None:
        self._storms = storms
        self._channels = channels
        self._tellings = tellings
        self._questions = questions
        self._pending = pending
        self._store = store
        self._records = records
        self._directory = directory
        self._presence = presence
        self._clock = clock
        self._measures = measures
        self._wakes = wakes
        self._overview = overview
        self._pages = pages
        self._page_streams = page_streams

    def routes(self) -> list[Route]:
        """The paths of the pages and of what their scripts read; no part of the API."""
        page = self._page
        return [
            page("/", with_query(FleetQuery, self.fleet)),
            page("/messages", with_query(SearchQuery, self.messages)),
            page("/messages/<message_id>", bare(self.message)),
            page("/flow", with_query(FlowQuery, self.flow)),
            page("/latency", with_query(LatencyQuery, self.latency)),
            page("/audit", bare(self.audit)),
            _for_scripts("/ui/stream", bare(self._page_streams.open)),
            _for_scripts("/ui/flows", with_query(FlowQuery, self.flows)),
            _for_scripts("/ui/measures", with_query(LatencyQuery, self.measures)),
            Route(
                "GET",
                "/static/<digest>/<name>",
                bare(self._pages.file),
                access="open",
                at_root=True,
            ),
        ]

    def fleet(self, call: Call[FleetQuery]) -> Answer:
        """Every agent, problems first."""
        shown = self._overview.fleet()
        first = {**shown, "agents": shown["agents"][:FIRST_ROWS]}
        asked, channels = self._open_questions(), self._channels.states()
        return self._show(
            call, "fleet", questions=asked, channels=channels, groups=self._groups(), **first
        )

    def _groups(self) -> list[str]:
        """The names of all groups, as one writes to them."""
        return [f"@{group}" for group in sorted(self._directory.roster.groups)]

    def messages(self, call: Call[SearchQuery]) -> Answer:
        """Search."""
        page = self._search(call.query)
        names = ("agent", "text", "since", "until")
        asked = {name: call.parameters.get(name, "") for name in names}
        older = "" if page.before is None else urlencode({**asked, "before": page.before})
        rights = self._rights(call.query.agent)
        return self._show(call, "messages", found=page, older=older, asked=asked, rights=rights)

    def _rights(self, agent: str | None) -> dict[str, Any] | None:
        """To whom an agent may write (None: to all), and the rules that say so; None without."""
        rights = self._directory.rights
        rules = rights.deciding.get(AgentName(agent)) if agent else None
        if not agent or not rules:
            return None
        reach = rights.reach.get(AgentName(agent))
        to = None if reach is None else sorted(reach - {agent})
        return {"agent": agent, "to": to, "rules": [rule.label for rule in rules]}

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
        question = self._questions.question(message.id) if message.data_json else None
        return self._show(
            call,
            "message",
            message=message,
            ways=ways,
            thread=self._thread(message.thread_id),
            question=question,
            question_state=question and question.state(steady=self._clock.steady_ms()),
            steps=self._pending.steps(message.first_seq) if message.rank == 0 else [],
            held=self._storms.times([one.seq for one in deliveries]),
            tellings=self._tellings([d.seq for d in deliveries]),
        )

    def flow(self, call: Call[FlowQuery]) -> Answer:
        """Who talks to whom, and what is being said now."""
        window = call.query.window
        recent = self._records.search(SearchSlice(limit=PAGE))
        return self._show(
            call,
            "flow",
            window=window,
            windows=list(WINDOWS),
            picture=self._flows(window),
            recent=recent.messages,
        )

    def latency(self, call: Call[LatencyQuery]) -> Answer:
        """How long the hops take, on the whole or to one host."""
        host = call.query.host
        wakes = None if host else self._wakes.shown()
        return self._show(call, "latency", host=host, measured=self._measured(host), wakes=wakes)

    def audit(self, call: Call) -> Answer:
        """What was done by hand."""
        return self._show(call, "audit", entries=self._records.audit(limit=AUDITED))

    def flows(self, call: Call[FlowQuery]) -> Answer:
        """The flow page's figures."""
        return Answer(200, self._flows(call.query.window))

    def measures(self, call: Call[LatencyQuery]) -> Answer:
        """The latency page's figures."""
        return Answer(200, self._measured(call.query.host))

    def _open_questions(self) -> list[tuple[Question, Message]]:
        """The newest questions that the operator can answer, with their messages."""
        asked = self._questions.open(limit=QUESTIONS)
        found = [(one, self._store.message(one.id)) for one in asked]
        return [(one, there[0]) for one, there in found if there is not None]

    def _flows(self, window: str) -> dict[str, Any]:
        since = self._clock.now_ms() - WINDOWS[window] * 1000
        found = self._records.flows(since=since)
        nodes = self._directory.roster.agents
        names = {name for flow in found.flows for name in (flow.sender, flow.agent)}
        return {
            "window": window,
            "since": rfc3339(found.since),
            "agents": {name: nodes.get(name) for name in sorted(names)},
            "flows": [[flow.sender, flow.agent, flow.count] for flow in found.flows],
        }

    def _search(self, query: SearchQuery) -> SearchPage:
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
        return self._measures.of_fleet()

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

    def _page(self, path: str, endpoint: Endpoint) -> Route:
        """A page for who is signed in; refusals are pages, too."""
        return Route(
            "GET",
            path,
            endpoint,
            access="session",
            headers=SESSION_HEADERS,
            refused=self._refused,
            at_root=True,
        )

    def _refused(self, call: Call, error: errors.BusError) -> Answer:
        if isinstance(error, errors.UnauthenticatedError):
            return redirect("/login?lost=1" if ENTERED in call.parameters else "/login")
        return self._show(call, "error", error=error, status=error.status)

    def _show(self, call: AnyCall, name: str, *, status: int = 200, **context: object) -> Answer:
        return self._pages.page(
            name,
            status=status,
            page=name,
            csrf=csrf_of(call),
            now=self._clock.now_ms(),
            rfc3339=rfc3339,
            priorities=PRIORITIES,
            operator=OPERATOR,
            elsewhere=self._overview.elsewhere(),
            **context,
        )


def _for_scripts(path: str, endpoint: Endpoint) -> Route:
    """What the script of a page reads."""
    return Route("GET", path, endpoint, access="session", headers=SESSION_HEADERS, at_root=True)
