"""Say what is going on, even below programs that hold back their children's output.

Ansible holds back what a module prints until it ends, and so do tests that run playbooks. So there
is a pipe beside stdout: lab/follow.py makes it, reads it, and shows each line at once. Without the
pipe `say` only prints. Nothing here waits for a reader, or fails without one.
"""

from __future__ import annotations

import contextlib
import os
import sys

PIPE = "AGENT_BUS_PROGRESS"
"""The variable with the path of the pipe, set for all that lab/follow.py starts."""
SHOWN = "AGENT_BUS_PROGRESS_SHOWN"
"""The variable with the inode of the stdout that is shown already: it needs no pipe."""
LONGEST = 1000
"""Characters; a write of up to 4,096 bytes is never mixed with another one (pipe(7))."""


def say(line: str) -> None:
    """Print a line, and send it to the pipe if stdout is held back."""
    print(line, flush=True)
    with contextlib.suppress(OSError):
        if str(os.fstat(sys.stdout.fileno()).st_ino) != os.environ.get(SHOWN):
            tell(line)


def tell(line: str) -> None:
    """Show lines at once, wherever stdout goes."""
    for one in line.splitlines():
        _send(f"!{one}")


def doing(what: str) -> None:
    """Note what is going on; it is shown only after a long silence."""
    _send(f"~{what}")


def _send(line: str) -> None:
    path = os.environ.get(PIPE)
    if not path:
        return
    with contextlib.suppress(OSError):  # nobody reads the pipe, or reads too slowly
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, line[:LONGEST].encode(errors="replace") + b"\n")
        finally:
            os.close(pipe)
