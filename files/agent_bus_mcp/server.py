"""The methods of both eras, over the table of tools. It holds no state between two requests."""

from __future__ import annotations

from agent_bus_mcp import protocol, table
from agent_bus_mcp.caller import NOTHING, RefusedError

TYPE_CHECKING = False  # without `typing`, the start is a quarter shorter
if TYPE_CHECKING:
    from typing import Any, Callable

    from agent_bus_mcp.caller import Bus, Told
    from agent_bus_mcp.protocol import Request

TITLE = "Agent bus"
NAME = "agent-bus"
GONE = (
    "this server's own release was removed by later rollouts: start the server again (in Claude"
    " Code: /mcp, then reconnect)"
)
"""What a call needs is loaded at the first call, which may be days after the start."""
SURELY_SHORT = 2000
CUT = "cut at 20 kB: ask for less with limit, where there is one"
TTL_MS = 300_000
"""How long a client may keep the list of tools: it changes with a release only."""


class Server:
    """Answers requests.

    Args:
        version: the release.
        instructions: what an agent should know, said when it connects.
        on_defect: gets an exception that no tool should raise.
    """

    def __init__(
        self,
        *,
        version: str,
        instructions: Callable[[], str],
        on_defect: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._info = {"name": NAME, "title": TITLE, "version": version}
        self._instructions = instructions
        self._on_defect = on_defect

    def answer(self, request: Request, bus: Callable[[], Bus]) -> tuple[dict[str, Any], Told]:
        """Return the answer to a request, and what a tool has shown in it.

        `bus` is asked for only by a tool that runs.

        Raises:
            RpcError: the request is answered with it.
        """
        told = NOTHING
        if request.method == "initialize" and not request.is_modern:
            result = self._initialize(request)
        elif request.is_modern or request.method == "server/discover":
            protocol.check_meta(request)
            result, told = self._modern(request, bus)
        elif request.method == "ping":
            result = {}
        else:
            result, told = self._either(request, bus)
        return {"jsonrpc": "2.0", "id": request.id, "result": result}, told

    def answer_later(
        self, request: Request, tool: table.Tool, run: Callable[[], Told]
    ) -> dict[str, Any]:
        """Return the answer to a call of a tool that was begun before; `run` says what it told."""
        result = self._result(tool, run)[0]
        if request.is_modern:
            result = self._complete(result)
        return {"jsonrpc": "2.0", "id": request.id, "result": result}

    def _initialize(self, request: Request) -> dict[str, Any]:
        offered = request.params.get("protocolVersion")
        return {
            "protocolVersion": offered if offered in protocol.LEGACY else protocol.LEGACY[0],
            "capabilities": {"tools": {}},
            "serverInfo": self._info,
            "instructions": self._instructions(),
        }

    def _modern(self, request: Request, bus: Callable[[], Bus]) -> tuple[dict[str, Any], Told]:
        told = NOTHING
        result: dict[str, Any]
        if request.method == "server/discover":
            result = {
                "supportedVersions": list(protocol.SUPPORTED),
                "capabilities": {"tools": {}},
                "instructions": self._instructions(),
            }
        else:
            result, told = self._either(request, bus)
        if request.method in {"server/discover", "tools/list"}:
            result = {**result, "ttlMs": TTL_MS, "cacheScope": "private"}
        return self._complete(result), told

    def _complete(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result with what the modern era says of each."""
        meta = {protocol.SERVER_KEY: self._info}
        return {"resultType": "complete", **result, "_meta": meta}

    def _either(self, request: Request, bus: Callable[[], Bus]) -> tuple[dict[str, Any], Told]:
        """Return what both eras answer alike."""
        if request.method == "tools/list":
            return {"tools": table.listed()}, NOTHING
        if request.method == "tools/call":
            tool, arguments = called(request)
            return self._result(tool, lambda: tool.run(bus, arguments))
        raise request.error(
            protocol.UNKNOWN_METHOD,
            f"Method not found: {request.method[:100]}; there are only tools here",
        )

    def _result(self, tool: table.Tool, run: Callable[[], Told]) -> tuple[dict[str, Any], Told]:
        """Return a tool's result: one text, whatever happens, which a model can act on."""
        told, is_error = NOTHING, True
        try:
            told = run()
            words, is_error = told.words, False
        except RefusedError as error:
            words = error.words
        except ImportError as error:
            self._on_defect(error)
            words = GONE
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._on_defect(error)
            kind = f"{type(error).__name__}: {error}"[:300]
            words = f"the tool {tool.name} has a defect ({kind}): tell the operator"
        if len(words) > SURELY_SHORT:
            from agent_bus_mcp.words import text

            words = text.page(words, CUT)
        content = [{"type": "text", "text": words}]
        return {"content": content, "isError": is_error}, told


def called(request: Request) -> tuple[table.Tool, dict[str, Any]]:
    """Return the tool that a `tools/call` names, and its arguments.

    Raises:
        RpcError: there is no such tool, or the arguments are no object.
    """
    name = request.params.get("name")
    tool = table.BY_NAME.get(name) if isinstance(name, str) else None
    if tool is None:
        known = ", ".join(table.BY_NAME)
        raise request.error(protocol.INVALID_PARAMS, f"Unknown tool; there are: {known}")
    arguments = request.params.get("arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise request.error(protocol.INVALID_PARAMS, "arguments: a JSON object")
    return tool, arguments
