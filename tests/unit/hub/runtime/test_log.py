"""The hub's log, written from the loop and from native threads at the same time."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.guard import marked
from tests.support.hub import REPOSITORY
from tests.support.patience import patience

LINES = 3000
THREADS = 2
PROGRAM = f"""
from gevent import monkey
monkey.patch_all()
import logging, gevent
from agent_bus.runtime import greenlets, log
log.configure("INFO", make_lock=greenlets.native_rlock)
logger = logging.getLogger("agent_bus.test")

def write():
    for number in range({LINES}):
        logger.info("native %d", number)

threads = [gevent.get_hub().threadpool.spawn(write) for _ in range({THREADS})]
for number in range({LINES}):
    logger.info("loop %d", number)
    if number % 50 == 0:
        greenlets.sleep(0)
gevent.joinall(threads)
"""


def test_native_threads_and_the_loop_can_write_at_the_same_time() -> None:
    """With gevent's lock in logging, a thread that met the loop there never came back."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=marked(PYTHONPATH=str(REPOSITORY / "files")),
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(),
    )
    events = [json.loads(line.partition(">")[2])["event"] for line in done.stderr.splitlines()]
    assert len(events) == LINES * (1 + THREADS)
    assert events.count(f"native {LINES - 1}") == THREADS
