"""A plain MCP client: it writes lines to a server's stdin and reads its answers, by hand."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from tests.support.guard import marked
from tests.support.node_side import NODE_PYTHON, launcher
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.node_side import Node

MODERN = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
SERVER = launcher("from agent_bus_client.__main__ import main; x(main(['mcp', *sys.argv[1:]]))")


def argv(*arguments: str, code: str = SERVER) -> list[str]:
    """How the launcher on a node starts the server."""
    return [NODE_PYTHON, "-I", "-S", "-c", code, *arguments]


class McpProcess:
    """A server and its client's end of the pipes; `answers` in the order in which they come."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        code: str = SERVER,
        env: dict[str, str] | None = None,
        alone: bool = False,
        cwd: Path | None = None,
    ) -> None:
        """Start it; `alone` with nothing but `env` in its environment."""
        self.process = subprocess.Popen(
            argv(*arguments, code=code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env if alone else marked(**(env or {})),
            cwd=cwd,
        )
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._next_id = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @classmethod
    def of(cls, node: Node, *arguments: str, **more: Any) -> McpProcess:
        """A server of a node, which gets its files by arguments."""
        token = str(node.folder / "secrets" / "node-token")
        files = ("--config", str(node.config), "--token-file", token)
        return cls([*files, *arguments], **more)

    def write(self, message: object) -> None:
        """One line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(
        self, method: str, params: dict[str, Any] | None = None, *, modern: bool = True
    ) -> int:
        """Send a request and return its id; the first id is 0."""
        request: dict[str, Any] = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        params = dict(params or {})
        if modern:
            params["_meta"] = META
        if params or modern:
            request["params"] = params
        self.write(request)
        self._next_id += 1
        return self._next_id - 1

    def next(self) -> dict[str, Any]:
        """The next answer."""
        return self.answers.get(timeout=patience())

    def request(
        self, method: str, params: dict[str, Any] | None = None, *, modern: bool = True
    ) -> dict[str, Any]:
        """Send a request and return its answer, which must be the next."""
        sent = self.ask(method, params, modern=modern)
        answer = self.next()
        assert (answer["id"], type(answer["id"])) == (sent, int)
        return answer

    def call(self, tool: str, *, is_error: bool = False, **arguments: Any) -> str:
        """Call a tool and return its text."""
        result = self.request("tools/call", {"name": tool, "arguments": arguments})["result"]
        return text_of(result, is_error=is_error)

    def start(self, tool: str, **arguments: Any) -> int:
        """Call a tool without waiting for its answer; return the request's id."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def end(self) -> str:
        """Close stdin, wait for the end and return what is on stderr."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(patience())
            assert code == 0
            return self.process.stderr.read().decode()
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(json.loads(line))


def text_of(result: dict[str, Any], *, is_error: bool = False) -> str:
    """The one text of a tool's result."""
    assert result["isError"] is is_error, result
    (content,) = result["content"]
    assert content["type"] == "text"
    assert "structuredContent" not in result
    words: str = content["text"]
    assert "Traceback" not in words
    assert len(words.encode("utf-8", "replace")) <= 20 * 1024
    return words
