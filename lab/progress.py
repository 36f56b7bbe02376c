"""Tell whoever waits what is going on, also from below programs that keep their output to the end.

Ansible keeps what a module prints until that ends, and so do tests that run playbooks. So there
is a pipe beside stdout: lab/follow.py makes it, reads it and shows each line at once. Without one,
`say` only prints. Nothing here ever waits or fails for a reader that is gone.
"""

from __future__ import annotations

import contextlib
import os
import sys

PIPE = "AGENT_BUS_PROGRESS"
"""Names the pipe, in the environment of all that lab/follow.py starts."""
SHOWN = "AGENT_BUS_PROGRESS_SHOWN"
"""The inode of the stdout that is shown already: what goes there needs no second way."""
LONGEST = 1000
"""A write of up to 4,096 bytes is never mixed with another's (pipe(7))."""


def say(line: str) -> None:
    """Print a line, and have it shown if stdout is kept by somebody."""
    print(line, flush=True)
    with contextlib.suppress(OSError):
        if str(os.fstat(sys.stdout.fileno()).st_ino) != os.environ.get(SHOWN):
            tell(line)


def tell(line: str) -> None:
    """Have a line shown at once, wherever stdout goes."""
    for one in line.splitlines():
        _send(f"!{one}")


def doing(what: str) -> None:
    """Note what goes on: it is shown only if it is what a long silence is about."""
    _send(f"~{what}")


def _send(line: str) -> None:
    path = os.environ.get(PIPE)
    if not path:
        return
    with contextlib.suppress(OSError):  # nobody reads, or too slowly
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, line[:LONGEST].encode(errors="replace") + b"\n")
        finally:
            os.close(pipe)
