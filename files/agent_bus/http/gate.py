"""The gate: the one way from a request to an endpoint.

A route says who may call, what a call may carry and how long its body may be; the gate holds each
call to that. It refuses an unknown caller before anything is read (401), then a body that is too
long (413), then a caller who may not do this (403), then what makes no sense (400).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from gunicorn.http.errors import ParseException

from agent_bus.bus.auth import NOBODY
from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.call import Answer, Call, PlainRequest
from agent_bus.http.route import BY_TOKEN
from agent_bus.http.session import SESSION_HEADERS
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping
    from wsgiref.types import WSGIEnvironment

    from agent_bus.bus.auth import Authenticator, Principal
    from agent_bus.http.audit import Audit
    from agent_bus.http.route import Route
    from agent_bus.http.session import Sessions

logger = logging.getLogger(__name__)

Asked: TypeAlias = "WSGIEnvironment | PlainRequest"
"""A request as gunicorn gives it, or as the server has read it itself."""


class Gate:
    """Answers requests for routes: authenticates, reads, calls, and never lets an error pass.

    Args:
        auth: knows the tokens.
        sessions: knows who is signed in to the dashboard.
        audit: keeps what the operator does.
        body_limit_bytes: a longer body is refused before it is read, unless the route says
            otherwise.
        read_timeout_s: a peer that sends no byte of its body for this long is refused.
        refusals: counts problems by code, for the metrics.
    """

    def __init__(
        self,
        auth: Authenticator,
        sessions: Sessions,
        audit: Audit,
        *,
        body_limit_bytes: int,
        read_timeout_s: float,
        refusals: Counter[str],
    ) -> None:
        self._auth = auth
        self._sessions = sessions
        self._audit = audit
        self._refusals = refusals
        self._body_limit_bytes = body_limit_bytes
        self._read_timeout_s = read_timeout_s

    def answer(self, route: Route, of: Asked, path: Mapping[str, str] | None = None) -> Answer:
        """What the route's endpoint answers, or the problem that kept it from answering."""
        try:
            call, raw = self._call(route, of, path or {})
            if call.principal.is_admin and route.action is not None:
                return self._audit.carry_out(route, route.action, call, raw)
            return route.endpoint.answer(call)
        except Exception as error:  # noqa: BLE001 - the top of a request
            return self._failed(route, of, error)

    def begin(self, route: Route, of: PlainRequest, done: Callable[[Answer], None]) -> bool:
        """As `answer`, in the loop itself: `done` gets the answer, now or later.

        Returns:
            False: the call has to wait for something; `answer` it in a greenlet. Nothing has come
            of it so far.
        """
        begin = route.endpoint.begin
        if begin is None:
            return False

        def finish(found: Answer | Exception) -> None:
            if isinstance(found, Exception):
                found = self._failed(route, of, found)
            done(found)

        try:
            call = self._plain_call(route, of)
            if route.action is not None and call.principal.is_admin:
                return False  # the audit waits for the disk
            begin(call, finish)
        except greenlets.MustWaitError:
            return False
        except Exception as error:  # noqa: BLE001 - the top of a request
            finish(error)
        return True

    def _call(
        self, route: Route, of: Asked, path: Mapping[str, str]
    ) -> tuple[Call[Any, Any], bytes]:
        """What the endpoint gets, and the body as it came.

        Raises:
            errors.BusError: the call may not reach its endpoint.
        """
        if isinstance(of, PlainRequest):
            return self._plain_call(route, of), of.body
        if of["REQUEST_METHOD"] != route.method and route.access in BY_TOKEN:
            # A HEAD, which Flask takes for a GET, must not count as having read a page.
            raise errors.WrongMethodError([route.method])
        principal = self._principal(route, of)
        text = of.get("QUERY_STRING")
        parameters = _parameters(text) if text else {}
        raw = self._body(of, self._limit_bytes(route, principal))
        if route.access == "admin" and not principal.is_admin:
            raise errors.ForbiddenError("Only the admin token may do this.")
        call: Call[Any, Any] = Call(
            principal=principal,
            query=route.endpoint.parse_query(parameters),
            body=route.endpoint.parse_body(raw),
            headers={h.key: of[h.environ] for h in route.headers if h.environ in of},
            path=path,
            parameters=parameters,
            socket=of.get("gunicorn.socket"),
            address=of.get("REMOTE_ADDR", ""),
            scheme=of.get("wsgi.url_scheme", "http"),
            protocol=of.get("SERVER_PROTOCOL", "HTTP/1.1"),
        )
        return call, raw

    def _plain_call(self, route: Route, of: PlainRequest) -> Call[Any, Any]:
        """As `_call`, for a request whose method and path are the route's, without parameters.

        Its route is for any token.
        """
        principal = self._auth.admit(of.token_sha256, of.address)
        if len(of.body) > self._body_limit_bytes:  # few come so far
            limit_bytes = self._limit_bytes(route, principal)
            if len(of.body) > limit_bytes:
                raise errors.TooLargeError(limit_bytes)
        body: Any = route.endpoint.parse_body(of.body)
        return Call(
            principal, None, body, headers=of.headers, socket=of.socket, address=of.address
        )

    def _limit_bytes(self, route: Route, principal: Principal) -> int:
        """How long a body may be."""
        if route.endpoint.admin_body_bytes and principal.is_admin:
            return max(self._body_limit_bytes, route.endpoint.admin_body_bytes)
        return self._body_limit_bytes

    def _failed(self, route: Route, of: Asked, error: Exception) -> Answer:
        """What is answered in place of what failed."""
        if isinstance(error, errors.BusError):
            try:
                return self._refuse(route, of, error)
            except Exception as defect:  # noqa: BLE001 - as above
                error = defect
        logger.error("%s %s failed", route.method, route.path, exc_info=error)
        self._refusals[errors.InternalError.code] += 1
        return problem.answer(errors.InternalError())

    def _refuse(self, route: Route, of: Asked, error: errors.BusError) -> Answer:
        if route.refused is not None:
            return route.refused(_visit(of), error)
        self._refusals[error.code] += 1
        return problem.answer(error)

    def _principal(self, route: Route, environ: WSGIEnvironment) -> Principal:
        """Who calls.

        Raises:
            errors.UnauthenticatedError: no valid token, or no open session.
            errors.AuthThrottledError: no valid token, and too many such attempts.
            errors.ForbiddenError: no token for scrapers, or another site has sent this.
        """
        access = route.access
        if access == "open":
            return NOBODY
        if access == "session":
            return self._sessions.require(_visit(environ))
        if access == "session_write":
            return self._sessions.require_write(_visit(environ))
        header, address = environ.get("HTTP_AUTHORIZATION"), environ.get("REMOTE_ADDR", "")
        if access == "scrape":
            self._auth.require_scraper(header, address)
            return NOBODY
        return self._auth.authenticate(header, address)

    def _body(self, environ: WSGIEnvironment, limit_bytes: int) -> bytes:
        length = environ.get("CONTENT_LENGTH")
        if length and int(length) > limit_bytes:
            raise errors.TooLargeError(limit_bytes)
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        peer = environ.get("gunicorn.socket")
        if peer is not None:  # None: as in tests
            peer.settimeout(self._read_timeout_s)
        try:
            body: bytes = environ["wsgi.input"].read(limit_bytes + 1)
        except (OSError, ParseException) as error:
            raise errors.InvalidRequestError("The body broke off or is badly framed.") from error
        finally:
            if peer is not None:
                peer.settimeout(None)  # the connection may serve other requests
        if len(body) > limit_bytes:
            raise errors.TooLargeError(limit_bytes)
        if length and len(body) < int(length):
            raise errors.InvalidRequestError("The body broke off: it is shorter than it said.")
        return body


def _visit(of: Asked) -> Call:
    """What is known of a request before its caller is."""
    if isinstance(of, PlainRequest):
        return Call(NOBODY, None, None, address=of.address)
    try:
        parameters = _parameters(of.get("QUERY_STRING", ""))
    except errors.InvalidRequestError:
        parameters = {}
    return Call(
        NOBODY,
        None,
        None,
        headers={h.key: of[h.environ] for h in SESSION_HEADERS if h.environ in of},
        parameters=parameters,
        address=of.get("REMOTE_ADDR", ""),
        scheme=of.get("wsgi.url_scheme", "http"),
    )


def _parameters(text: str) -> dict[str, str]:
    """The parameters of a query string.

    Raises:
        errors.InvalidRequestError: one comes twice, or is no UTF-8.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise errors.InvalidRequestError(f"The query string is malformed: {error}.") from error
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise errors.InvalidRequestError(f"{twice}: given twice.", field=twice)
    return values
