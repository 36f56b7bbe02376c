"""How gunicorn runs the hub: its one gevent worker, and what happens when it starts and stops.

The worker is this process. gunicorn would start it from an arbiter, which restarts workers that
die or hang; systemd does that, and the arbiter would cost 26 MB and two seconds.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from gunicorn.app.base import BaseApplication
from gunicorn.sock import create_sockets

from agent_bus.app.hub import Hub
from agent_bus.core import errors
from agent_bus.runtime import greenlets, tls
from agent_bus.server.worker import HubWorker

if TYPE_CHECKING:
    from agent_bus.http.application import FixedPaths
    from agent_bus.settings import Settings

logger = logging.getLogger(__name__)

GRACEFUL_TIMEOUT_S: Final = 5
WRITING_S: Final = 3.0
"""How long answers may still be written after a SIGTERM. gunicorn looks once a second whether all
are done; past its graceful timeout it kills the greenlets that still answer."""
ALIVE_POLL_S: Final = 0.1
"""How soon a SIGTERM is noticed: gunicorn's gevent worker calls no hook for it."""
BOOT_FAILED: Final = 3
"""The exit code of a hub that cannot be built: gunicorn's own for a worker that does not boot."""
DEFECT: Final = 255


class Beat:
    """When systemd's watchdog has to be fed: at half its interval, by the clock.

    Counting polls would not do: on a busy hub each takes twice as long, half the interval becomes
    the whole, and systemd kills the hub.

    Args:
        limit_s: what systemd waits for a beat; 0 asks for none.
        now: monotonic seconds.
    """

    def __init__(self, limit_s: float, *, now: float) -> None:
        self._interval_s = limit_s / 2
        self._due = now + self._interval_s

    def is_due(self, now: float) -> bool:
        """Whether to feed it now; true once per interval."""
        if not self._interval_s or now < self._due:
            return False
        self._due = now + self._interval_s
        return True


class Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no type information
    """gunicorn, configured from `Settings`; `run()` blocks until the server has ended.

    Raises:
        errors.StartupError: the certificate or its key cannot be used.
    """

    def __init__(self, settings: Settings, *, notify_socket: str | None) -> None:
        self._settings = settings
        self._notify_socket = notify_socket
        self._hub: Hub | None = None
        self._tls = None if settings.tls is None else tls.load(*settings.tls)
        super().__init__()

    def load_config(self) -> None:
        """Settings of gunicorn; everything not named here keeps its default."""
        chosen = {
            "bind": self._settings.bind,
            # Fan-out lives in the worker's memory: with two, a subscriber of one would never see
            # what the other accepted.
            "workers": 1,
            "worker_class": HubWorker,
            "worker_connections": self._settings.worker_connections,
            # Clients keep their connection between calls; a watcher reports every 30 s.
            "keepalive": 75,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            # Any other number would end all streams each time that so many requests were served.
            "max_requests": 0,
            "control_socket_disable": True,
            "loglevel": "warning",
            "proc_name": "agent-bus",
            "post_worker_init": self._started,
        }
        if self._settings.tls is not None:
            chosen["certfile"], chosen["keyfile"] = map(str, self._settings.tls)
            chosen["ssl_context"] = lambda _cfg, _default: self._tls
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Listen, build the hub, and serve until SIGTERM.

        Raises:
            SystemExit: always; with 0 after SIGTERM or SIGINT, 1 when the port is taken, 3 when
                the hub cannot be built, 255 when it ends by a defect.
        """
        log = self.cfg.logger_class(self.cfg)
        listeners = create_sockets(self.cfg, log)
        worker = HubWorker(1, os.getppid(), listeners, self, self.cfg.timeout, self.cfg, log)
        try:
            worker.init_process()
        except Exception:
            logger.exception("The hub ended by a defect")
            sys.exit(DEFECT if worker.booted else BOOT_FAILED)
        finally:
            self._end()
        sys.exit(0)

    def load(self) -> FixedPaths:
        """Build the hub, once the port is this process's."""
        greenlets.share_interpreter()
        try:
            self._hub = Hub(self._settings)
        except errors.StartupError as error:
            logger.critical("The hub does not start: %s", error)
            os._exit(BOOT_FAILED)
        return self._hub.wsgi

    def _started(self, worker: HubWorker) -> None:
        worker.limit_writes(self._settings.write_timeout_s)
        greenlets.spawn(self._beat, worker)

    def _end(self) -> None:
        if self._hub is None:
            return
        try:
            self._hub.drain()  # gunicorn knows nothing of streams, and may be faster than the beat
        finally:
            self._hub.close()

    def _beat(self, worker: HubWorker) -> None:
        """READY once, WATCHDOG at half its interval, and the drain once gunicorn must end."""
        self._notify("READY=1\nSTATUS=Serving")
        beat = Beat(int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6, now=time.monotonic())
        while worker.alive:
            greenlets.sleep(ALIVE_POLL_S)
            worker.tend()
            if beat.is_due(time.monotonic()) and self._is_well():
                self._notify("WATCHDOG=1")
        self._notify("STOPPING=1\nSTATUS=Draining streams")
        cut_at = time.monotonic() + WRITING_S
        if self._hub is not None:
            self._hub.drain()
        while True:  # until gunicorn finds all connections gone and ends the process
            worker.hang_up_idle()
            if time.monotonic() >= cut_at:
                worker.cut_writing()
            greenlets.sleep(ALIVE_POLL_S)

    def _is_well(self) -> bool:
        return self._hub is not None and self._hub.health.is_well()

    def _notify(self, state: str) -> None:
        """Tell systemd, where there is one (sd_notify(3))."""
        if not self._notify_socket:
            return
        address = self._notify_socket
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            try:
                peer.sendto(state.encode(), address)
            except OSError as error:
                logger.warning("systemd cannot be told %r: %s", state, error)
