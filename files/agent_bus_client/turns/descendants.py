"""All processes that this one has started, however deep, and their end.

A process may leave its group, its session and its parent. It stays a descendant of the nearest
ancestor that has declared itself the reaper of orphans (prctl(2), PR_SET_CHILD_SUBREAPER).

The unit has ProtectProc=invisible: a process that cannot be dumped (PR_SET_DUMPABLE), as some
runtimes make themselves, is then missing in /proc. The kernel still lists it as a child of ours,
and what it has started becomes a child of ours when it is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ROUND_S = 0.02  # between two looks at who is left
ROUNDS = 250  # 5 s: a process that waits for a disk does not die at once


def adopt_orphans() -> None:
    """Have every orphan below this process become its child, so that none can get away.

    Raises:
        OSError: the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def of(root: int) -> set[int]:
    """Return the process ids of all living descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent, state = _parent(entry)
            if parent and state != "Z":
                children.setdefault(parent, []).append(int(entry.name))
    found = own_children() if root == os.getpid() else set()
    waiting = [root, *found]
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(new)
        waiting += new
    return found


def own_children() -> set[int]:
    """Return the living children of this process, also those that /proc does not show."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended, or an old kernel
            found.update(map(int, (thread / "children").read_text(encoding="ascii").split()))
    return {pid for pid in found if not _has_ended(pid)}


def kill_all() -> int:
    """Kill all descendants of this process, and those that they start meanwhile.

    Returns:
        how many processes were killed.
    """
    killed: set[int] = set()
    for _ in range(ROUNDS):
        left = of(os.getpid())
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= left
        time.sleep(ROUND_S)
    return len(killed)


def reap(but: int) -> None:
    """Collect orphans that have ended; the child `but` is somebody else's to wait for."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != but:
            parent, state = _parent(entry)
            if parent == os.getpid() and state == "Z":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(entry.name), os.WNOHANG)


def _has_ended(child: int) -> bool:
    """Tell whether a child only waits to be collected, which is left to others."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _parent(entry: Path) -> tuple[int, str]:
    """Return a process's parent and state; 0 if it is gone. See proc_pid_stat(5)."""
    try:
        stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, ""
    state, parent = stat.rpartition(")")[2].split()[:2]
    return int(parent), state
