"""`tail`: prints messages as they come, stream after stream, until it is interrupted."""

from __future__ import annotations

import json
import sys
import time

from agent_bus_client.api import StreamEvent
from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.hub.cursor import is_repeated, parse_event_id
from agent_bus_client.net.backoff import Backoff
from agent_bus_mcp.words import text
from agent_bus_mcp.words.message import head_line

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any, Optional

    from agent_bus_client.cli.context import Context
    from agent_bus_client.hub import sse
    from agent_bus_client.hub.stream import Stream

SHOWN_BYTES = 500  # of a body; `show` has the rest


def tail(context: Context) -> int:
    """Print messages as they come, until interrupted; they do not count as fetched.

    Raises:
        ClientError: the first connection fails, or the hub will never accept another one.
    """
    try:
        Tail(context).follow()
    except KeyboardInterrupt:
        return 0
    return 0  # never reached: only an error or Ctrl-C ends it


class Tail:
    """One run: its place in the stream, and how it comes back to it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._query = {"agents": context.agent}
        self._backoff = Backoff()
        self._resume: Optional[str] = None
        self._shown: Optional[tuple[str, int]] = None

    def follow(self) -> None:
        """Read one stream after the other, without end.

        Raises:
            ClientError: see `tail`.
        """
        is_away = False
        while True:
            try:
                stream = self._context.hub.open_stream(self._query, last_event_id=self._resume)
                is_away = False
                delay_s = self._read(stream)
            except ClientError as error:
                refusal = error if isinstance(error, HubRefusedError) else None
                if self._resume is None or (refusal and not refusal.later):
                    raise
                retry_after_s = refusal.retry_after_s if refusal else None
                delay_s = self._backoff.next_delay_s(retry_after_s)
                if not is_away:
                    why = text.escape(str(error))
                    print(f"agent-bus: {why}; trying again", file=sys.stderr, flush=True)
                is_away = True
            time.sleep(delay_s)

    def _read(self, stream: Stream) -> float:
        """Print one stream to its end; return how long to wait before the next.

        Raises:
            ClientError: the stream broke.
        """
        planned_s: Optional[float] = None
        try:
            for event in stream.events():
                self._take(event, stream)
                if event.type == StreamEvent.BYE and event.retry_ms is not None:
                    planned_s = self._backoff.planned_delay_s(event.retry_ms / 1000)
                    break
        finally:
            stream.close()
            self._resume = stream.last_event_id or self._resume
            self._backoff.connected_for(time.monotonic() - stream.opened_at)
        return self._backoff.next_delay_s() if planned_s is None else planned_s

    def _take(self, event: sse.Event, stream: Stream) -> None:
        facts = json.loads(event.data)
        if event.type == StreamEvent.HELLO:
            stream.keepalive_s = float(facts["keepalive_s"])
            cap_s = facts.get("reconnect_cap_s")
            self._backoff.connected(retry_ms=event.retry_ms, cap_s=cap_s)
        elif event.type == StreamEvent.RESET:
            self._shown = None
        elif event.type == StreamEvent.MESSAGE:
            place = parse_event_id(event.event_id)
            if is_repeated(place, self._shown):
                return
            self._shown = place or self._shown
            self._print(facts)

    def _print(self, facts: dict[str, Any]) -> None:
        if self._context.options.json:
            print(json.dumps(facts), flush=True)
            return
        body, _ = text.cut(facts["body"], SHOWN_BYTES)
        print(f"{head_line(facts, self._context.now())}: {text.line(body)}", flush=True)
