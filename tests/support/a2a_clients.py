"""The official A2A clients as processes of their own, led step by step: see tests/a2a."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.guard import marked
from tests.support.hub import REPOSITORY
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess

CACHE: Final = REPOSITORY / ".cache/a2a"
PROGRAMS: Final = REPOSITORY / "tests/a2a"


@dataclass(frozen=True)
class Kind:
    """An official client, the version of A2A that it speaks, and the binding that it is to use."""

    client: str
    version: str
    binding: str

    def __str__(self) -> str:
        return f"{self.client}-{self.binding}"


KINDS: Final = (
    Kind("python", "1.0", "JSONRPC"),
    Kind("python", "1.0", "HTTP+JSON"),
    Kind("1.3.0", "1.0", "JSONRPC"),
    Kind("1.3.0", "1.0", "HTTP+JSON"),
    Kind("0.3.11", "0.3", "JSONRPC"),
)


class Raised(Exception):  # noqa: N818 - what a client's user sees
    """The client raised; `name` is the error's class."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"])
        self.name = error["name"]


class Led:
    """A client's process: an agent that asks another one."""

    def __init__(
        self, kind: Kind, hub: HubProcess, folder: Path, *, token: str, agent: str
    ) -> None:
        self.kind = kind
        self._errors = folder / "stderr"
        order = {
            "url": f"http://127.0.0.1:{hub.port}/a2a/{agent}/",
            "headers": {"Authorization": f"Bearer {token}"},
            "binding": kind.binding,
            "version": kind.version,
        }
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*_program(kind, folder), json.dumps(order)],
                env=marked(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, do: str, **more: Any) -> None:
        """Give a step; its result is the next one that is taken."""
        assert self._process.stdin is not None
        print(json.dumps({"do": do, **more}), file=self._process.stdin, flush=True)

    def result(self) -> Any:
        """What the step came to.

        Raises:
            Raised: the client raised an error.
        """
        try:
            line = self._lines.get(timeout=patience())
        except queue.Empty:
            line = ""
        assert line, f"the client said nothing: {self._errors.read_text()}"
        said = json.loads(line)
        if "error" in said:
            raise Raised(said["error"])
        return said["result"]

    def do(self, do: str, **more: Any) -> Any:
        """Give a step and wait for what it comes to."""
        self.begin(do, **more)
        return self.result()

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(patience())
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def state(task: dict[str, Any]) -> str:
    """A task's state, as 0.3 writes it."""
    found: str = task["status"]["state"]
    return found.removeprefix("TASK_STATE_").lower()


def texts(of: dict[str, Any]) -> list[str]:
    """The texts of a message or artifact."""
    return [part["text"] for part in of["parts"] if "text" in part]


def _program(kind: Kind, folder: Path) -> list[str]:
    if not (CACHE / kind.client / ".complete").exists():
        pytest.fail("an official client is missing: run `make a2a-setup`")
    if kind.client == "python":
        return [str(CACHE / "python/bin/python"), str(PROGRAMS / "python_client.py")]
    script = folder / "client.mjs"
    script.write_bytes((PROGRAMS / "javascript_client.mjs").read_bytes())
    (folder / "node_modules").symlink_to(CACHE / kind.client / "node_modules")
    return ["node", str(script)]
