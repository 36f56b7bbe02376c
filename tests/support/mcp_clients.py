"""The official MCP clients as processes of their own, led step by step: see tests/mcp."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.guard import VARIABLE, mark, marked
from tests.support.node_side import ROOT
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

CACHE = ROOT / ".cache/mcp"
PROGRAMS = ROOT / "tests/mcp"
# In a session of its own, so that a client in a hurry cannot end it before it ends by itself.
WATCHED: Final = ["setsid", "--fork", "--wait", "sh", "-c"]
NOTED: Final = 'echo "started $$" >>"$0"; "$@"; echo "ended $?" >>"$0"'


@dataclass(frozen=True)
class Kind:
    """An official client in one of the eras that it speaks."""

    client: str
    """python, v1 or v2."""
    mode: str
    """legacy: it begins with `initialize`; auto: it asks `server/discover` first."""

    def __str__(self) -> str:
        return f"{self.client}-{self.mode}"

    @property
    def is_modern(self) -> bool:
        """Whether it speaks the revision without sessions to a server that does."""
        return self.mode == "auto"


KINDS: Final = (
    Kind("python", "auto"),
    Kind("python", "legacy"),
    Kind("v1", "legacy"),
    Kind("v2", "legacy"),
    Kind("v2", "auto"),
)
EACH: Final = (KINDS[0], KINDS[2], KINDS[4])
"""Each client once, for what has nothing to do with eras: it takes seconds to start one."""
LIBRARIES: Final = {"v1": "@modelcontextprotocol/sdk", "v2": "@modelcontextprotocol/client"}


class Refused(Exception):  # noqa: N818 - what a client's user sees
    """The client raised instead of returning a result; `code` is JSON-RPC's, if there was one."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class StdioServer:
    """How to start an MCP server over stdio, and what became of those that were started."""

    def __init__(self, argv: list[str], env: dict[str, str], folder: Path) -> None:
        self._notes = folder / "servers"
        self._notes.touch()
        self.argv = argv
        self.env = {**env, "PATH": os.environ["PATH"], VARIABLE: mark()}

    def order(self) -> dict[str, Any]:
        """As a client's program wants it."""
        return {"command": [*WATCHED, NOTED, str(self._notes), *self.argv], "env": self.env}

    def exit_codes(self) -> list[int]:
        """Those of all servers that were started, once all have ended."""

        def notes(word: str) -> list[str]:
            lines = self._notes.read_text().splitlines()
            return [line.split()[1] for line in lines if line.startswith(word)]

        wait_until(lambda: len(notes("ended")) == len(notes("started")), "all servers have ended")
        return [int(code) for code in notes("ended")]


class Led:
    """A client's process; steps may be given while others run.

    Attributes:
        said: its first line: `connected`, or `failed` with words.
    """

    def __init__(self, kind: Kind, server: dict[str, Any], folder: Path) -> None:
        self.kind = kind
        self._errors = folder / "stderr"
        self._step = 0
        self._answers: dict[int, dict[str, Any]] = {}
        order = {"server": server, "mode": kind.mode, "timeout_s": patience()}
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                _program(kind, order, folder),
                env=marked(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.said = self._next()

    def __enter__(self) -> Self:
        if "connected" not in self.said:
            self.end()
            pytest.fail(f"{self.kind}: {self.said['failed']}: {self.errors()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:
            self.end()

    def begin(self, do: str, **more: Any) -> int:
        """Give a step and return its number at once."""
        self._step += 1
        assert self._process.stdin is not None
        print(json.dumps({"step": self._step, "do": do, **more}), file=self._process.stdin)
        self._process.stdin.flush()
        return self._step

    def answer(self, step: int) -> dict[str, Any]:
        """The line that a step ended with."""
        while step not in self._answers:
            line = self._next()
            self._answers[line["step"]] = line
        return self._answers.pop(step)

    def do(self, do: str, **more: Any) -> Any:
        """The result of a step.

        Raises:
            Refused: the client raised an error.
        """
        answer = self.answer(self.begin(do, **more))
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a tool's result; fails if the tool reports an error."""
        result = self.do("call", tool=tool, arguments=arguments)
        assert not result.get("isError"), result
        return text_of(result)

    def failing(self, tool: str, **arguments: Any) -> str:
        """The words of a tool's error."""
        result = self.do("call", tool=tool, arguments=arguments)
        assert result.get("isError"), result
        return text_of(result)

    def close(self) -> None:
        """Close the client; fails if it, or a server that it started, reported a fault."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._next()["closed"]
        assert self._process.wait(patience()) == 0
        assert "Traceback" not in self.errors(), self.errors()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join(patience())
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def errors(self) -> str:
        """What the client and its servers wrote to stderr."""
        return self._errors.read_text()

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=patience())
        except queue.Empty:
            line = ""
        assert line, f"{self.kind} printed nothing more: {self.errors()}"
        found: dict[str, Any] = json.loads(line)
        return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def text_of(result: dict[str, Any]) -> str:
    """The text of a tool's result, which has no other content."""
    assert [part["type"] for part in result["content"]] == ["text"], result
    return str(result["content"][0]["text"])


def _program(kind: Kind, order: dict[str, Any], folder: Path) -> list[str]:
    place = CACHE / kind.client
    if not (place / ".complete").exists():
        pytest.fail("the official clients are missing: run `make mcp-setup`")
    if kind.client == "python":
        return [str(place / "bin/python"), str(PROGRAMS / "python_client.py"), json.dumps(order)]
    # Node looks for libraries beside a program.
    script, modules = folder / "client.mjs", folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(place / "node_modules")
        script.write_text((PROGRAMS / "typescript_client.mjs").read_text())
    return ["node", str(script), json.dumps({**order, "library": LIBRARIES[kind.client]})]
