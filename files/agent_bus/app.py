"""Builds the hub: settings to object graph to WSGI application. Nothing else builds objects.

Flask routes, reads and writes HTTP; the endpoints behind it know `Call` and `Answer` only.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from agent_bus import __version__, errors, runtime
from agent_bus.auth import Authenticator, load_admin_digests
from agent_bus.broker import Broker
from agent_bus.bus import Bus
from agent_bus.clock import SystemClock
from agent_bus.directory import Directory
from agent_bus.latency import Latency
from agent_bus.limits import RateLimiter
from agent_bus.presence import Presence
from agent_bus.probes import Prober
from agent_bus.retention import Housekeeper
from agent_bus.sse import compact_json
from agent_bus.store.sqlite import SqliteStore
from agent_bus.web import problem
from agent_bus.web.api import Api
from agent_bus.web.health import Health
from agent_bus.web.http import Answer, Call
from agent_bus.web.routes import Route, routes
from agent_bus.web.stream import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.settings import Settings

logger = logging.getLogger(__name__)


class Hub:
    """The running hub: the WSGI application and what must be ended with it."""

    def __init__(self, settings: Settings) -> None:
        clock = SystemClock()
        version = release()
        self._lock = _lock(settings.database.with_name("bus.lock"))
        directory = Directory()
        self.broker = Broker(
            streams_total=settings.streams_total, streams_per_token=settings.streams_per_token
        )
        self.bus = Bus(
            clock=clock,
            broker=self.broker,
            directory=directory,
            presence=Presence(
                clock=clock, lease_s=settings.lease_s, offline_after_s=settings.offline_after_s
            ),
            limiter=RateLimiter(
                per_s=settings.sends_per_s, burst=settings.send_burst, clock=clock
            ),
            latency=Latency(),
            hop_limit=settings.hop_limit,
        )
        per_s = settings.auth_failures_per_min / 60
        auth = Authenticator(
            admin_digests=load_admin_digests(settings.admin_tokens_file),
            directory=directory,
            failures=RateLimiter(per_s=per_s, burst=settings.auth_failures_per_min, clock=clock),
        )
        self.store = SqliteStore(
            settings.database,
            clock=clock,
            readers=settings.readers,
            listener=self.bus,
            fatal=lambda: os._exit(70),  # EX_SOFTWARE: systemd and gunicorn start a new worker
        )
        self.bus.attach(self.store)
        Housekeeper(
            self.bus,
            sweep_interval_s=settings.sweep_interval_s,
            retain_read_days=settings.retain_read_days,
            retain_archive_days=settings.retain_archive_days,
        ).start()
        prober = Prober(broker=self.broker, directory=directory, clock=clock)
        api = Api(bus=self.bus, auth=auth, prober=prober, page_limit=settings.page_limit)
        streams = Streams(bus=self.bus, settings=settings, version=version)
        self.health = Health(bus=self.bus, clock=clock, version=version)
        table = routes(api=api, streams=streams, health=self.health)
        self.wsgi = _flask(table, auth=auth, health=self.health, settings=settings)

    def drain(self) -> None:
        """Say bye on all streams and cut those that do not take it within 1.5 s."""
        self.health.is_stopping = True
        self.broker.end_all("shutdown")
        for _ in range(15):
            if not len(self.broker):
                return
            runtime.sleep(0.1)
        for stream in self.broker:
            stream.cut()

    def close(self) -> None:
        """Commit what waits and close the database; the last thing in the process."""
        self.bus.flush_stamps()
        self.store.close()


def release() -> str:
    """The release that runs, `<version>-<content hash>`; the bare version outside a release."""
    marker = Path(__file__).resolve().parent.parent / "RELEASE"
    return marker.read_text(encoding="utf-8").strip() if marker.exists() else __version__


def _lock(path: Path) -> int:
    """Hold the instance lock for the life of the process.

    Raises:
        errors.StartupError: another process has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise errors.StartupError(
            f"{path} is locked: another agent-bus has this database open. Exactly one process may "
            "serve it; see `systemctl status agent-bus`."
        ) from error
    return descriptor


def _flask(
    table: list[Route], *, auth: Authenticator, health: Health, settings: Settings
) -> Flask:
    app = Flask("agent_bus", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes
    app.url_map.strict_slashes = False
    gate = _Gate(auth, settings.body_limit_bytes)
    for route in table:
        paths = [f"/api{route.path}", *([route.path] if route.unprefixed else [])]
        for path in paths:
            app.add_url_rule(
                path,
                endpoint=f"{route.method} {path}",
                view_func=gate.view(route),
                methods=[route.method],
                provide_automatic_options=False,
            )
    for path, check in (("/livez", health.livez), ("/readyz", health.readyz)):
        app.add_url_rule(
            path,
            endpoint=path,
            view_func=_open_view(check),
            methods=["GET"],
            provide_automatic_options=False,
        )
    app.register_error_handler(Exception, gate.on_error)
    return app


class _Gate:
    """Turns each request into an authenticated call, and whatever happens into a response."""

    def __init__(self, auth: Authenticator, body_limit_bytes: int) -> None:
        self._auth = auth
        self._body_limit_bytes = body_limit_bytes
        self._iteration = -1

    def view(self, route: Route) -> Callable[..., Response]:
        """Flask's view function of a route."""

        def respond(**path: str) -> Response:
            self._iteration = runtime.yield_if_starved(self._iteration)
            principal = self._auth.authenticate(
                request.headers.get("Authorization"), request.remote_addr or ""
            )
            call = Call(
                principal=principal,
                query=_query(),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.get_data(cache=False),
                path=path,
                socket=request.environ.get("gunicorn.socket"),
            )
            return _response(route.endpoint(call))

        return respond

    def on_error(self, error: Exception) -> Response:
        """Any error as a problem document."""
        if not isinstance(error, errors.BusError):
            error = self._translate(error)
        return _response(problem.answer(error))

    def _translate(self, error: Exception) -> errors.BusError:
        """The bus's own error for one of Flask's, or for a defect, which is logged."""
        if isinstance(error, NotFound):
            return errors.UnknownPathError(request.path)
        if isinstance(error, MethodNotAllowed):
            return errors.WrongMethodError(error.valid_methods or ())
        if isinstance(error, RequestEntityTooLarge):
            return errors.TooLargeError(self._body_limit_bytes)
        if isinstance(error, HTTPException) and (error.code or 500) < 500:  # noqa: PLR2004 - 4xx
            return errors.InvalidRequestError(f"{error.name}.")
        logger.error("A request failed", exc_info=error)
        return errors.InternalError()


def _query() -> dict[str, str]:
    values = request.args.to_dict(flat=False)
    for name, given in values.items():
        if len(given) > 1:
            raise errors.InvalidRequestError(f"{name}: given twice.", field=name)
    return {name: given[0] for name, given in values.items()}


def _open_view(check: Callable[[], Answer]) -> Callable[..., Response]:
    def respond() -> Response:
        return _response(check())

    return respond


def _response(answer: Answer) -> Response:
    if answer.frames is not None:
        response = Response(answer.frames, status=answer.status, direct_passthrough=True)
    else:
        payload = b"" if answer.content is None else compact_json(answer.content).encode()
        response = Response(payload, status=answer.status, content_type="application/json")
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response
