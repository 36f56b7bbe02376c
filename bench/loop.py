"""The event loop of all clients: uvloop, so that they cost less than the servers."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run(measured: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop; where that is not installed, on asyncio's own loop, and say so."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        print("uvloop is not installed: clients cost more than they could", file=sys.stderr)
        return asyncio.run(measured)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(measured)
