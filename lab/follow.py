"""Run a command and never be silent for long: `python -m lab.follow [--log FILE] -- COMMAND...`.

The command's output is shown as it comes, and so is what its child processes say by
lab/progress.py. After 20 s without a line it says what is going on, and for how long. Its exit
code is the command's. Of all that the command starts, only containers outlive it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import guardian
from lab.paths import ROOT
from lab.progress import PIPE, SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

SILENCE_S = 20.0
PLUGIN = "lab_progress"


class Screen:
    """Shows lines, keeps them in a file, and knows how long it has been silent."""

    def __init__(self, out: IO[bytes], log: IO[bytes] | None) -> None:
        self._outs = [out, *([log] if log else [])]
        self._what = ""
        self._since = self._shown = time.monotonic()

    def show(self, line: bytes) -> None:
        """Show a line."""
        self._shown = time.monotonic()
        for out in self._outs:
            out.write(line + b"\n")
            out.flush()

    def note(self, line: bytes) -> None:
        """Take a line from lab/progress.py."""
        if line.startswith(b"~"):
            self._what = line[1:].decode(errors="replace")
            self._since = time.monotonic()
        else:
            self.show(line[1:])

    def silent_for(self) -> float:
        """Return the seconds since the last line."""
        return time.monotonic() - self._shown

    def break_silence(self, command: str) -> None:
        """Say what is going on."""
        took = time.monotonic() - self._since
        self.show(f"... {took:.0f} s: {self._what or command}".encode())


def main(arguments: Sequence[str] | None = None, out: IO[bytes] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.follow", description=__doc__)
    parser.add_argument("--log", type=Path, help="keep the output here, too")
    parser.add_argument("--silence", type=float, default=SILENCE_S, help="seconds (default: 20)")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(given.log.open("wb")) if given.log else None
        screen = Screen(out or sys.stdout.buffer, log)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agent-bus-lab-")))
        return _run(given.command, screen, folder / "progress", given.silence)


def _run(command: Sequence[str], screen: Screen, pipe: Path, silence_s: float) -> int:
    os.mkfifo(pipe, 0o600)
    notes = os.open(
        pipe, os.O_RDWR | os.O_NONBLOCK
    )  # open for writing, too, so that it never ends
    output, writing = os.pipe()
    os.set_blocking(output, False)
    process = subprocess.Popen(
        command, stdout=writing, stderr=writing, env=environment(pipe, os.fstat(writing).st_ino)
    )
    os.close(writing)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # as if the command had got it
    sources = {notes: screen.note, output: screen.show}
    try:
        _pass_on(sources, process, screen, silence_s, words=" ".join(command))
        return process.wait()
    except KeyboardInterrupt:  # which the command has got, too
        return process.wait() or 128 + signal.SIGINT
    finally:
        for source in sources:
            os.close(source)


def _pass_on(
    sources: Mapping[int, Callable[[bytes], None]],
    process: subprocess.Popen[bytes],
    screen: Screen,
    silence_s: float,
    *,
    words: str,
) -> None:
    """Show what comes until the command ends, though its children may keep its output open."""
    rest = dict.fromkeys(sources, b"")
    end = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector:
        for source in (*sources, end):
            selector.register(source, selectors.EVENT_READ)
        ready: set[int] = set()
        while end not in ready:
            wait_s = max(0.0, silence_s - screen.silent_for())
            ready = {key.fd for key, _ in selector.select(wait_s)}
            for source, take in sources.items():
                *lines, rest[source] = (rest[source] + _read(source)).split(b"\n")
                for line in lines:
                    take(line)
            if screen.silent_for() >= silence_s:
                screen.break_silence(words)
    os.close(end)
    for source, take in sources.items():
        if rest[source]:
            take(rest[source])


def _read(source: int) -> bytes:
    """Return all that can be read now."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while got := os.read(source, 65536):
            found += got
    return found


def environment(pipe: Path, shown: int) -> Mapping[str, str]:
    """Return the environment in which programs say what they do; Ansible does it by a plugin."""
    plugins = os.environ.get("ANSIBLE_CALLBACK_PLUGINS", "")
    enabled = os.environ.get("ANSIBLE_CALLBACKS_ENABLED", "")
    colour = {"ANSIBLE_FORCE_COLOR": "1"} if sys.stdout.isatty() else {}
    return {
        **colour,
        **os.environ,
        PIPE: str(pipe),
        SHOWN: str(shown),
        guardian.VARIABLE: guardian.start(),
        "PYTHONUNBUFFERED": "1",
        "ANSIBLE_CALLBACK_PLUGINS": ":".join(
            dict.fromkeys([*plugins.split(":"), str(ROOT / "lab" / "callback_plugins")])
        ).strip(":"),
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(dict.fromkeys([*enabled.split(","), PLUGIN])).strip(
            ","
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
