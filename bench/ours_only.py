"""What is measured only for the hub: idle streams, neighbours, depth, recovery."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any

from bench import processes, scenarios
from bench.measure import Times
from bench.peers import AGENTS, HOME
from bench.peers.ours import IDLE
from bench.peers.web import HttpSender

if TYPE_CHECKING:
    from bench.peers.ours import Ours
    from bench.peers.web import HttpStream

SPARE_DESCRIPTORS = 5
"""What the hub may open by itself while streams are closed."""
GIVE_UP_S = 120.0
ENOUGH = 100
"""From so many streams on, their memory stands out from the hub's own."""


async def idle_streams(ours: Ours, counts: list[int], *, rest_count: int) -> dict[str, Any]:
    """Memory per idle stream (PSS of all processes), and latency at rest with that many open.

    The hub has its traffic first: with 10,000 messages it grows by 15 MB once and no more up to
    30,000, which no stream is to blame for.
    """
    found: dict[str, Any] = {}
    await scenarios.with_post(ours, functools.partial(scenarios.load, count=20 * rest_count))
    without = await _rest(ours, rest_count)
    # after the same traffic as with streams, since traffic takes memory, too
    base = processes.pss_kib(ours.pid)
    found["0"] = {**without.figures(), "pss_mib": round(base / 1024, 2)}
    streams: list[HttpStream] = []
    try:
        for count in counts:
            streams += await open_idle(ours, count - len(streams))
            times = await _rest(ours, rest_count)
            now = processes.pss_kib(ours.pid)
            found[str(count)] = {**times.figures(), "pss_mib": round(now / 1024, 2)}
            if count >= ENOUGH:
                found[str(count)]["stream_kib"] = round((now - base) / count, 2)
    finally:
        await asyncio.gather(*(stream.close() for stream in streams))
    return found


async def open_idle(ours: Ours, count: int) -> list[HttpStream]:
    """So many streams of an agent without mail."""
    streams: list[HttpStream] = []
    while len(streams) < count:
        batch = [
            ours.stream([IDLE], lambda _body: None) for _ in range(min(100, count - len(streams)))
        ]
        streams += await asyncio.gather(*batch)
    return streams


async def memory(ours: Ours, *, messages: int, streams: int) -> dict[str, Any]:
    """PSS of all processes after so many messages, and of each idle stream after them."""
    async with scenarios.opened(ours) as post:
        times = await scenarios.load(post, count=messages)
    before = processes.pss_kib(ours.pid)
    opened = await open_idle(ours, streams)
    after = processes.pss_kib(ours.pid)
    await asyncio.gather(*(stream.close() for stream in opened))
    return {
        "pss_mib": round(before / 1024, 2),
        "stream_kib": round((after - before) / streams, 2),
        "lost": times.lost,
        "doubled": times.doubled,
    }


async def closes(ours: Ours, *, streams: int) -> dict[str, Any]:
    """Seconds until the hub has let go the descriptors of streams that their peers closed."""
    pids = [stat.pid for stat in processes.family(ours.pid)]
    before = processes.descriptors(pids)
    opened = await open_idle(ours, streams)
    cpu_s, began = ours.cpu_s(), time.perf_counter()
    await asyncio.gather(*(stream.close() for stream in opened))
    while processes.descriptors(pids) > before + SPARE_DESCRIPTORS:
        if time.perf_counter() - began > GIVE_UP_S:
            raise RuntimeError(f"streams are still open after {GIVE_UP_S:g} s")
        await asyncio.sleep(0.02)
    gone_s = time.perf_counter() - began
    return {"gone_s": round(gone_s, 3), "gone_cpu_ms": round((ours.cpu_s() - cpu_s) * 1000, 1)}


async def _rest(ours: Ours, count: int) -> Times:
    return await scenarios.with_post(ours, lambda post: scenarios.at_rest(post, count=count))


async def senders(ours: Ours, counts: list[int], *, messages: int) -> dict[str, Any]:
    """Throughput and latency by the number of senders, each with one message in flight."""
    found: dict[str, Any] = {}
    for count in counts:
        share = max(messages // 4 if count == 1 else messages, count)
        times = await scenarios.with_post(
            ours, functools.partial(scenarios.load, count=share, senders=count)
        )
        found[str(count)] = times.figures()
    return found


def _get(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


async def fill_inbox(ours: Ours, agent: str, count: int) -> None:
    """Put unread messages into one inbox."""
    sender = await ours.sender(AGENTS[0])
    for _ in range(count):
        await sender.send(agent, "x" * scenarios.BODY_BYTES)
    await sender.close()


async def neighbours(ours: Ours, *, rest_count: int) -> dict[str, Any]:
    """Latency at rest while one client pages an inbox of 1,000 unread in a loop."""
    victim = AGENTS[-1]
    await fill_inbox(ours, victim, 1000)
    without = await _rest(ours, rest_count)
    client = HttpSender(ours.hub.port, token="-", sender="-")  # noqa: S106 - only its connection
    request = _get(f"/api/inbox?agent={victim}&peek=1&limit=500", f"token-{HOME[victim]}")
    pages = 0

    async def page_forever() -> None:
        nonlocal pages
        while True:
            await client.request(request, 200)
            pages += 1

    task = asyncio.create_task(page_forever())
    try:
        beside = await _rest(ours, rest_count)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await client.close()
    return {"without": without.figures(), "with": beside.figures(), "pages": pages}


async def depth(ours: Ours, *, rounds: int) -> dict[str, Any]:
    """How long inbox, history page and stats take now, in milliseconds."""
    victim = AGENTS[-1]
    client = HttpSender(ours.hub.port, token="-", sender="-")  # noqa: S106 - only its connection
    token = f"token-{HOME[victim]}"
    paths = {
        "inbox": f"/api/inbox?agent={victim}&peek=1&limit=50",
        "history": f"/api/history?agent={victim}&limit=50",
        "stats": "/api/stats",
    }
    found: dict[str, Any] = {}
    for name, path in paths.items():
        times = Times()
        for _ in range(rounds):
            began = time.perf_counter()
            await client.request(_get(path, token), 200)
            times.seconds.append(time.perf_counter() - began)
        found[name] = times.figures()
    await client.close()
    return found


async def recovery(ours: Ours, *, backlog: int) -> dict[str, Any]:
    """From kill -9 to the first event after the restart, and the resume over a backlog."""
    agent = AGENTS[-1]
    await fill_inbox(ours, agent, backlog)
    seen = asyncio.Event()
    done = asyncio.Event()
    arrived = 0
    began = time.perf_counter()
    await asyncio.to_thread(ours.hub.kill)
    await asyncio.to_thread(ours.hub.start)
    ready_s = time.perf_counter() - began

    def count(_body: str) -> None:
        nonlocal arrived
        arrived += 1
        seen.set()
        if arrived >= backlog:
            done.set()

    resumed = time.perf_counter()
    stream = await ours.stream([agent], count)
    await asyncio.wait_for(seen.wait(), 30)
    first_s = time.perf_counter() - began
    await asyncio.wait_for(done.wait(), 60)
    whole_s = time.perf_counter() - resumed
    await stream.close()
    return {
        "ready_s": round(ready_s, 3),
        "first_event_s": round(first_s, 3),
        "resume_s": round(whole_s, 3),
        "resumed": arrived,
    }
