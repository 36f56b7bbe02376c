"""The bus over an open store: its parts, made and joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_bus.bus.broker import Broker
from agent_bus.bus.bus import Bus
from agent_bus.bus.counters import Counters
from agent_bus.bus.directory import Directory
from agent_bus.bus.fanout import Fanout
from agent_bus.bus.guards.notices import Notices
from agent_bus.bus.guards.pauses import Pauses
from agent_bus.bus.guards.questions import Questions
from agent_bus.bus.guards.storm import StormWatch
from agent_bus.bus.guards.storm_record import Writes
from agent_bus.bus.guards.wake_budgets import WakeBudgets
from agent_bus.bus.guards.wake_gate import WakeGate
from agent_bus.bus.hops import Hops
from agent_bus.bus.presence import Presence
from agent_bus.core.guards.storms.signals import StormLimits
from agent_bus.core.latency import Latency
from agent_bus.core.limits import RateLimiter

if TYPE_CHECKING:
    from agent_bus.bus.fanout import Observer
    from agent_bus.core.clock import Clock
    from agent_bus.settings import Settings
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.contract import Backend, Records, Store, Vitals
    from agent_bus.store.guards.storms import Storms
    from agent_bus.store.guards.wake_book import WakeBook
    from agent_bus.store.outgoing import Outgoing
    from agent_bus.store.pending import Pending


@dataclass(frozen=True, slots=True)
class Core:
    """The bus and its parts, over a store; who reads one of them gets that one."""

    store: Store
    vitals: Vitals
    records: Records
    clock: Clock
    broker: Broker
    directory: Directory
    presence: Presence
    counters: Counters
    latency: Latency
    observers: list[Observer]
    fanout: Fanout
    hops: Hops
    bus: Bus
    cluster: Cluster
    outgoing: Outgoing
    limiter: RateLimiter
    notices: Notices
    gate: WakeGate
    pending: Pending
    questions: Questions
    pauses: Pauses
    budgets: WakeBudgets
    wake_book: WakeBook
    storm: StormWatch
    storms: Storms


def assemble(settings: Settings, backend: Backend, clock: Clock) -> Core:
    """The bus over an open store, with what the store holds; the store tells it of commits."""
    store: Store = backend
    broker = Broker(
        streams_total=settings.streams_total, streams_per_token=settings.streams_per_token
    )
    directory = Directory()
    directory.replace(*store.roster())
    presence = Presence(
        directory=directory,
        clock=clock,
        lease_s=settings.lease_s,
        offline_after_s=settings.offline_after_s,
        cluster=backend.cluster,
    )
    counters = Counters(head=store.head(), mailboxes=store.mailboxes())
    latency = Latency()
    observers: list[Observer] = []
    gate = WakeGate()
    notices = Notices(store=store)
    storm = _storm(settings, backend, clock, of=(notices, counters, gate))
    fanout = Fanout(
        epoch=store.epoch,
        broker=broker,
        directory=directory,
        gate=gate,
        decide=storm.take,
        counters=counters,
        latency=latency,
        observers=observers,
        clock=clock,
    )
    store.listen(fanout)
    hops = Hops(store=store, counters=counters, latency=latency, observers=observers, clock=clock)
    limiter = RateLimiter(per_s=settings.sends_per_s, burst=settings.send_burst, clock=clock)
    bus = Bus(
        store=store,
        broker=broker,
        directory=directory,
        presence=presence,
        counters=counters,
        latency=latency,
        limiter=limiter,
        clock=clock,
        depth_limit=settings.hop_limit,
        cluster=backend.cluster,
    )
    pauses, wake_budgets = _guards(backend, directory, gate, counters=counters, clock=clock)
    observers.append(wake_budgets)
    presence.hold_of = gate.hold_of
    return Core(
        store, backend, backend.records, clock, broker, directory, presence, counters, latency,
        observers, fanout, hops, bus, backend.cluster,
        backend.outgoing, limiter, notices, gate,
        backend.pending, _questions(settings, backend, clock, of=(bus, notices, directory)),
        pauses, wake_budgets, backend.wake_book, storm, backend.storms,
    )  # fmt: skip


def _questions(
    settings: Settings, backend: Backend, clock: Clock, *, of: tuple[Bus, Notices, Directory]
) -> Questions:
    """What makes links to questions, and tells of those that nobody answered."""
    bus, notices, directory = of
    return Questions(
        pending=backend.pending,
        send=lambda draft, part: bus.send(draft, step=part),
        notices=notices,
        directory=directory,
        clock=clock,
        url=settings.people_url,
        leads=backend.cluster.leads,
    )


def _guards(
    backend: Backend,
    directory: Directory,
    gate: WakeGate,
    *,
    counters: Counters,
    clock: Clock,
) -> tuple[Pauses, WakeBudgets]:
    """What holds agents; it goes by the roster, and by what the store has kept."""
    cluster = backend.cluster
    pauses = Pauses(
        book=backend.wake_book, directory=directory, gate=gate, clock=clock, cluster=cluster
    )
    pauses.refresh()
    wake_budgets = WakeBudgets(
        store=backend,
        book=backend.wake_book,
        directory=directory,
        gate=gate,
        counters=counters,
        clock=clock,
        cluster=cluster,
    )
    directory.on_replaced += [pauses.refresh, wake_budgets.reload]
    return pauses, wake_budgets


def _storm(
    settings: Settings, backend: Backend, clock: Clock, *, of: tuple[Notices, Counters, WakeGate]
) -> StormWatch:
    """What withholds the wakes of agents that only keep each other busy."""
    notices, counters, gate = of
    limits = StormLimits(
        window_s=settings.storm_window_s,
        turns=settings.storm_turns,
        repeats=settings.storm_repeats,
        echoes=settings.storm_echoes,
        spacing_s=settings.storm_spacing_s,
        more=settings.storm_more,
        quiet_s=settings.storm_quiet_s,
    )
    return StormWatch(
        limits,
        writes=Writes(backend.storms, backend, notices),
        cluster=backend.cluster,
        counters=counters,
        gate=gate,
        clock=clock,
    )
