"""Carry a large file between the control node and a host, part by part; runs on the control node.

Every part is one call of `library/large_file.py` over the connection that Ansible has to the host
anyway: through jump hosts, with passwords, by any connection plugin. A part that a broken
connection swallowed is asked for again.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import time
import zlib
from pathlib import Path
from typing import Any, Final

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

PART_BYTES: Final = 16 << 20
"""A call costs as much as 4 MiB of content; each process holds about six times this size."""
TRIES: Final = 5
"""Calls per part. In between the connection is made again, after 1, 2, 4 and 8 s."""
QUIET_S: Final = 5.0
"""Between two lines that say how far it is."""
RESERVE_BYTES: Final = 64 << 20
"""What has to stay free where the file goes to."""

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = False
    _requires_connection = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry the file and answer its size and SHA-256."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        self._host = str(self._variables.get("inventory_hostname", "the host"))
        # At -vvv Ansible prints every answer, and the answers are the file.
        self._play_context.no_log = True
        given = self._task.args
        local = Path(given["local"]).expanduser()
        progress = Progress(f"{self._host}: {Path(given['path']).name}")
        try:
            if given["direction"] == "fetch":
                carried = self._fetch(given["path"], local, given.get("sha256"), progress)
            else:
                carried = self._send(local, given["path"], progress)
        except OSError as error:
            raise AnsibleActionFail(f"on the control node: {error}") from error
        return {**result, "changed": True, "seconds": progress.seconds, **carried}

    def _fetch(
        self, path: str, local: Path, sha256: str | None, progress: Progress
    ) -> dict[str, Any]:
        size = self._call(path, part="look")["bytes"]
        if size < 0:
            raise AnsibleActionFail(f"{path} is not there")
        discard_abandoned(local.parent)
        require_room(size, shutil.disk_usage(local.parent).free, f"{local.parent} here")
        begun = local.with_name(f".{local.name}.part")
        hashed = hashlib.sha256()
        with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate()
            while file.tell() < size:
                answer = self._call(path, part="read", offset=file.tell(), length=PART_BYTES)
                piece = zlib.decompress(base64.b64decode(answer["content"]))
                if not piece:
                    raise AnsibleActionFail(f"{path} became shorter while it was fetched")
                hashed.update(piece)
                file.write(piece)
                progress.show(file.tell(), size)
            file.flush()
            os.fsync(file.fileno())
            found = hashed.hexdigest()
            if sha256 not in {None, found}:
                begun.unlink()
                raise AnsibleActionFail(
                    f"{path} did not arrive as it was: its SHA-256 is {found}, not {sha256}."
                    " Try again."
                )
            begun.replace(local)
        return {"bytes": size, "sha256": found}

    def _send(self, local: Path, path: str, progress: Progress) -> dict[str, Any]:
        size = local.stat().st_size
        there = self._call(path, part="look")
        require_room(size, there["free"], f"{Path(path).parent} on {self._host}")
        hashed = hashlib.sha256()
        with local.open("rb") as file:
            while piece := file.read(PART_BYTES):
                packed = base64.b64encode(zlib.compress(piece, level=1)).decode("ascii")
                offset = file.tell() - len(piece)
                self._call(path, part="write", offset=offset, content=packed)
                hashed.update(piece)
                progress.show(file.tell(), size)
        self._call(path, part="finish", sha256=hashed.hexdigest())
        return {"bytes": size, "sha256": hashed.hexdigest()}

    def _call(self, path: str, **part: Any) -> dict[str, Any]:  # noqa: ANN401 - the module's arguments
        """Have the host do one part of it.

        Raises:
            AnsibleActionFail: it cannot; the message is the module's.
            AnsibleConnectionFailure: it could not be reached, however often it was tried.
        """
        for attempt in range(TRIES):
            try:
                answer: dict[str, Any] = self._execute_module(
                    module_name="large_file",
                    module_args={"path": path, **part},
                    task_vars=self._variables,
                )
            except AnsibleConnectionFailure:
                if attempt == TRIES - 1:
                    raise
                display.warning(f"{self._host}: the connection broke, trying again")
                time.sleep(2**attempt)
                self._connection.reset()
                continue
            if answer.get("failed"):
                words = (answer.get("msg"), answer.get("module_stderr"))
                raise AnsibleActionFail(
                    f"{self._host}: {' '.join(str(word) for word in words if word)}"
                )
            return answer
        raise AssertionError


class Progress:
    """Says now and then how far a file is; a quick transfer prints nothing."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._shown = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._started, 1)

    def show(self, done: int, size: int) -> None:
        """Print a line if the last one was a while ago."""
        now = time.monotonic()
        if now - self._shown < QUIET_S:
            return
        self._shown = now
        rate = done / 1e6 / (now - self._started)
        display.display(
            f"{self._what}: {done / 1e6:,.0f} of {size / 1e6:,.0f} MB,"
            f" {rate:.0f} MB/s, {(size - done) / 1e6 / rate:.0f} s left"
        )


def require_room(size: int, free: int, place: str) -> None:
    """Refuse to begin a transfer that cannot end.

    Raises:
        AnsibleActionFail: it would not fit; says what is needed and what there is.
    """
    needed = size + RESERVE_BYTES
    if free < needed:
        raise AnsibleActionFail(
            f"no room in {place}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are"
            " free. Make room or choose another place, then run this again."
        )


def discard_abandoned(folder: Path) -> None:
    """Delete what an aborted run has left; a file that another run is writing is locked."""
    for part in folder.glob(".bus-*.part"):
        with part.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            part.unlink()
