"""`POST /mcp`: MCP's Streamable HTTP for both eras, answered with plain JSON.

There is no session, no stream and no state: each request is answered by itself, and other methods
than POST are 405. Source: the specification of 2026-07-28, page "Streamable HTTP".
"""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.call import Answer
from agent_bus.http.endpoint import with_raw
from agent_bus.http.route import Header, Route
from agent_bus.http.speaker import AGENT_HEADER, speaker
from agent_bus.mcp import codec
from agent_bus.mcp.bus import HubBus, refused
from agent_bus.mcp.drops import Drops
from agent_bus.runtime import greenlets
from agent_bus_mcp import instructions, protocol
from agent_bus_mcp.caller import RefusedError, Told
from agent_bus_mcp.protocol import RpcError
from agent_bus_mcp.server import Server, called

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from agent_bus.bus.auth import Authenticator
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName
    from agent_bus.http.call import AnyCall, Call, Done
    from agent_bus.mcp.inner import Inner
    from agent_bus_mcp.caller import Sent
    from agent_bus_mcp.protocol import Request

logger = logging.getLogger(__name__)

PATH: Final = "/mcp"
ORIGIN: Final = Header("Origin")
HOST: Final = Header("Host")
VERSION: Final = Header("MCP-Protocol-Version")
METHOD: Final = Header("Mcp-Method")
NAME: Final = Header("Mcp-Name")
ENCODED: Final = ("=?base64?", "?=")
"""Round a header's value that is no plain ASCII."""
SEND: Final = b'"send"'
"""What stands in a call of the tool that comes often; in no other one, as a rule."""
CANCELLED: Final = "notifications/cancelled"
CALL: Final = "tools/call"
NAMED: Final = {CALL: "name", "prompts/get": "name", "resources/read": "uri"}
"""Which parameter the header `Mcp-Name` repeats."""


class Mcp:
    """The endpoint."""

    def __init__(
        self,
        inner: Inner,
        *,
        auth: Authenticator,
        clock: Clock,
        refusals: Counter[str],
        version: str,
    ) -> None:
        self._inner = inner
        self._auth = auth
        self._clock = clock
        self._refusals = refusals
        self._version = version
        self._drops = Drops()
        self._tools = self._server(str)  # a tool says no instructions

    def routes(self) -> list[Route]:
        """The one path."""
        return [
            Route(
                "POST",
                PATH,
                with_raw(self.answer, begin=self.begin),
                "Speak MCP",
                headers=(AGENT_HEADER, ORIGIN, HOST, VERSION, METHOD, NAME),
                refused=self._refused,
                at_root=True,
                is_plain=True,
            )
        ]

    def answer(self, call: Call[None, bytes]) -> Answer:
        """Answer one message.

        Raises:
            errors.ForbiddenError: a page of another site sent it.
        """
        self._refuse_other_origins(call)
        try:
            request = protocol.read(codec.message(call.body))
        except RpcError as error:
            return Answer(400, raw=protocol.encode(error.response))
        if request is None or request.id is None:
            if request is not None and request.method == CANCELLED:
                self._drops.drop(_key(call, request.params.get("requestId")))
            return Answer(202, raw=b"")
        try:
            check_headers(request, call)
            response = self._answered(request, call)
        except RpcError as error:
            return Answer(status_of(error, request, call), raw=protocol.encode(error.response))
        return Answer(200, raw=codec.encoded(response))

    def begin(self, call: Call[None, bytes], done: Done) -> None:
        """As `answer`, in the loop itself, for the tool `send`.

        Raises:
            greenlets.MustWaitError: `answer` it: it is something else, or it cannot be sent.
        """
        if SEND not in call.body:
            raise greenlets.MustWaitError
        from agent_bus_mcp import tools  # with the first call, as `table.Tool.run` does

        try:
            request = self._send_in(call)
            tool, arguments = called(request)
            given = tool.checked(arguments)
            bus = self._bus_of(speaker(call, self._auth), call)
            outgoing = tools.outgoing(bus, given)
        except (RpcError, RefusedError, errors.BusError) as error:
            raise greenlets.MustWaitError from error  # `answer` says what is wrong

        def delivered(outcome: Callable[[], Sent]) -> None:
            def run() -> Told:
                try:
                    return Told(outcome().words)
                except RefusedError as error:
                    raise tools.hinted(error) from error

            answer = self._tools.answer_later(request, tool, run)
            done(Answer(200, raw=codec.encoded(answer)))

        bus.begin_deliver(outgoing, given.get("key"), delivered)

    def _send_in(self, call: Call[None, bytes]) -> Request:
        """The call of the tool `send` that a body holds.

        Raises:
            greenlets.MustWaitError: it is something else.
            RpcError: something is wrong with it.
            errors.ForbiddenError: a page of another site sent it.
        """
        self._refuse_other_origins(call)
        request = protocol.read(codec.message(call.body))
        if request is None or request.id is None or request.method != CALL:
            raise greenlets.MustWaitError
        if request.params.get("name") != "send":
            raise greenlets.MustWaitError
        check_headers(request, call)
        if request.is_modern:
            protocol.check_meta(request)
        return request

    def _answered(self, request: Request, call: AnyCall) -> dict[str, Any]:
        if request.method != CALL:
            server = self._server(lambda: self._instructions(call))
            return server.answer(request, lambda: self._bus(call))[0]
        if request.is_modern:
            return self._tools.answer(request, lambda: self._bus(call))[0]
        with self._drops.droppable(_key(call, request.id)) as is_dropped:
            caller = replace(call, is_dropped=is_dropped)
            return self._tools.answer(request, lambda: self._bus(caller))[0]

    def _refused(self, _call: AnyCall, error: errors.BusError) -> Answer:
        """What clients are told of a problem of HTTP: they show the words of JSON-RPC's errors.

        The code is the status: JSON-RPC's own numbers are all taken or reserved.
        """
        self._refusals[error.code] += 1
        told = problem.answer(error)
        words = f"{error.detail} ({error.code})"
        content = {"code": error.status, "message": words, "data": told.content}
        headers = {**told.headers, "Content-Type": "application/json"}
        return Answer(error.status, {"jsonrpc": "2.0", "id": None, "error": content}, headers)

    def _server(self, instructions: Callable[[], str]) -> Server:
        return Server(
            version=self._version,
            instructions=instructions,
            on_defect=lambda error: logger.error("A tool failed", exc_info=error),
        )

    def _instructions(self, call: AnyCall) -> str:
        try:
            return instructions.somebody(speaker(call, self._auth))
        except errors.BusError as error:
            return instructions.nobody(error.detail.rstrip("."))

    def _bus(self, call: AnyCall) -> HubBus:
        try:
            agent = speaker(call, self._auth)
        except errors.BusError as error:
            self._refusals[error.code] += 1
            raise refused(error) from error
        return self._bus_of(agent, call)

    def _bus_of(self, agent: AgentName, call: AnyCall) -> HubBus:
        return HubBus(call, agent, inner=self._inner, clock=self._clock, refusals=self._refusals)

    def _refuse_other_origins(self, call: AnyCall) -> None:
        """Let a call through unless a browser says that a page of another site sent it.

        Raises:
            errors.ForbiddenError: it does.
        """
        origin = call.headers.get(ORIGIN.key)
        if origin is None:
            return
        try:
            parts = urlsplit(origin)
        except ValueError:
            parts = urlsplit("")
        is_page = parts.scheme in {"http", "https"} and parts.netloc
        if not is_page or parts.netloc.lower() != call.headers.get(HOST.key, "").lower():
            raise errors.ForbiddenError(
                "A page of another site sent this request.", field=ORIGIN.name
            )


def _key(call: AnyCall, request_id: object) -> tuple[object, ...]:
    """What a request of a client without sessions is found by."""
    agent = call.headers.get(AGENT_HEADER.key)
    return call.principal.sha256, agent, type(request_id), str(request_id)


def check_headers(request: Request, call: AnyCall) -> None:
    """Check that headers and body agree: whatever stands between may have gone by the headers.

    Raises:
        RpcError: they do not, or the version is not spoken here.
    """
    version = call.headers.get(VERSION.key)
    if not request.is_modern:
        if version in {None, *protocol.LEGACY} or request.method == "initialize":
            return
        if version == protocol.MODERN:
            protocol.check_meta(request)  # raises: it says nothing of itself
        raise protocol.unsupported(request, version)
    spoken = request.meta[protocol.VERSION_KEY]
    if isinstance(spoken, str):
        _agree(request, VERSION, version, spoken)
    _agree(request, METHOD, call.headers.get(METHOD.key), request.method)
    if request.method in NAMED:
        named = request.params.get(NAMED[request.method])
        if isinstance(named, str):
            _agree(request, NAME, _decoded(request, call.headers.get(NAME.key)), named)


def _agree(request: Request, header: Header, given: str | None, wanted: str) -> None:
    if given is None:
        raise request.error(protocol.HEADER_MISMATCH, f"Header mismatch: {header.name} is missing")
    if given != wanted:
        raise request.error(
            protocol.HEADER_MISMATCH,
            f"Header mismatch: {header.name} value {given[:100]!r} does not match body value"
            f" {wanted[:100]!r}",
        )


def _decoded(request: Request, value: str | None) -> str | None:
    """A header's value, which may be in base64.

    Raises:
        RpcError: it is badly encoded.
    """
    begin, end = ENCODED
    if value is None or not (value.startswith(begin) and value.endswith(end)):
        return value
    try:
        return base64.b64decode(value[len(begin) : -len(end)], validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise request.error(
            protocol.HEADER_MISMATCH, f"Header mismatch: {NAME.name} is not base64"
        ) from error


def status_of(error: RpcError, request: Request, call: AnyCall) -> int:
    """The HTTP status of an error: before 2026-07-28 only what is no message had another one."""
    if error.code in {protocol.HEADER_MISMATCH, protocol.UNSUPPORTED_VERSION}:
        return 400
    if not (request.is_modern or call.headers.get(VERSION.key) == protocol.MODERN):
        return 200
    return {protocol.UNKNOWN_METHOD: 404, protocol.INVALID_PARAMS: 400}.get(error.code, 200)
