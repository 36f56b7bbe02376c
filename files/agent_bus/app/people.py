"""What people see and answer: the page, and links to questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_bus.dashboard.answers import Answers
from agent_bus.dashboard.html import Pages
from agent_bus.dashboard.measures import Measures, WakeTable
from agent_bus.dashboard.sign_in import SignIn
from agent_bus.dashboard.views import Dashboard

if TYPE_CHECKING:
    from collections import Counter

    from agent_bus.app.assembly import Core
    from agent_bus.bus.auth import Authenticator
    from agent_bus.channels.channels import Channels
    from agent_bus.dashboard.actions import Actions
    from agent_bus.dashboard.page_stream import PageStreams
    from agent_bus.http.audit import Audit
    from agent_bus.http.route import Route
    from agent_bus.http.session import Sessions
    from agent_bus.operate.overview import Overview
    from agent_bus.operate.samples import Samples


@dataclass(frozen=True, slots=True)
class Door:
    """What a person passes."""

    sessions: Sessions
    auth: Authenticator
    audit: Audit
    refusals: Counter[str]


@dataclass(frozen=True, slots=True)
class Looks:
    """What pages are made of."""

    overview: Overview
    samples: Samples
    page_streams: PageStreams
    channels: Channels


def routes(core: Core, door: Door, looks: Looks, actions: Actions) -> list[Route]:
    """All paths of the page."""
    pages = Pages()
    sign_in = SignIn(sessions=door.sessions, pages=pages, audit=door.audit, refusals=door.refusals)
    answers = Answers(
        questions=core.questions,
        store=core.store,
        auth=door.auth,
        audit=door.audit,
        pages=pages,
        clock=core.clock,
        refusals=door.refusals,
    )
    views = _dashboard(core, looks, pages)
    return [*sign_in.routes(), *views.routes(), *actions.routes(), *answers.routes()]


def _dashboard(core: Core, looks: Looks, pages: Pages) -> Dashboard:
    """The operator's web page."""
    return Dashboard(
        store=core.store,
        records=core.records,
        directory=core.directory,
        presence=core.presence,
        clock=core.clock,
        measures=build_measures(core, looks.samples),
        wakes=WakeTable(book=core.wake_book, budgets=core.budgets, clock=core.clock),
        overview=looks.overview,
        pages=pages,
        page_streams=looks.page_streams,
        questions=core.questions,
        pending=core.pending,
        storms=core.storms,
        channels=looks.channels,
        tellings=core.outgoing.tellings,
    )


def build_measures(core: Core, samples: Samples) -> Measures:
    """The figures of the latency page."""
    return Measures(
        vitals=core.vitals,
        records=core.records,
        counters=core.counters,
        directory=core.directory,
        latency=core.latency,
        samples=samples,
    )
