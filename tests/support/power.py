"""A disk that forgets: a VFS shim that knows what was synced, and shows what a power cut leaves.

Everything is passed on to the real file system, so that the store goes on working. The shim also
keeps the durable content of each file: what was written before its last sync. `cut` writes a
folder as it would be after a power cut: the durable content, and any part of the later writes in
any order, torn at sector boundaries, as with a disk that has a cache.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
from gevent import monkey

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

SECTOR_BYTES = 512
Lock = monkey.get_original("threading", "Lock")


class Volatile:
    """One file: its durable content, and the writes since its last sync."""

    def __init__(self, path: Path) -> None:
        self.durable = bytearray(path.read_bytes() if path.exists() else b"")
        self.pending: list[tuple[int, bytes | None]] = []

    def apply(self, content: bytearray, offset: int, written: bytes | None) -> None:
        """Do one write (or, for None, a truncation to `offset`) on some content."""
        if written is None:
            del content[offset:]
            return
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(written)] = written

    def sync(self) -> None:
        """All writes so far are durable."""
        for offset, written in self.pending:
            self.apply(self.durable, offset, written)
        self.pending.clear()

    def after_cut(self, dice: random.Random) -> bytes:
        """What is found when the power is back."""
        content = bytearray(self.durable)
        survivors = [write for write in self.pending if dice.random() < 0.5]
        dice.shuffle(survivors)
        for offset, written in survivors:
            torn = written
            if written is not None and dice.random() < 0.3:
                sectors = max(1, len(written) // SECTOR_BYTES)
                torn = written[: dice.randrange(sectors + 1) * SECTOR_BYTES]
            self.apply(content, offset, torn)
        return bytes(content)


class ForgetfulDisk(apsw.VFS):
    """The default VFS while it is registered."""

    def __init__(self) -> None:
        self.files: dict[str, Volatile] = {}
        self.lock = Lock()
        super().__init__("forgetful", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> Any:  # noqa: N802 - apsw's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - apsw's names
        """A deletion is durable at once: SQLite syncs the folder where it matters to it."""
        with self.lock:
            super().xDelete(filename, syncdir)
            self.files.pop(filename, None)

    def cut(self, folder: Path, dice: random.Random) -> None:
        """Write into `folder` what a power cut at this moment would leave."""
        folder.mkdir()
        with self.lock:
            for path, file in self.files.items():
                (folder / Path(path).name).write_bytes(file.after_cut(dice))


class _File(apsw.VFSFile):
    def __init__(self, disk: ForgetfulDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        with disk.lock:
            self._file = disk.files.setdefault(path, Volatile(Path(path)))
        super().__init__("unix", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - apsw's name
        with self._disk.lock:
            self._file.pending.append((offset, bytes(data)))
            super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        with self._disk.lock:
            self._file.pending.append((newsize, None))
            super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        super().xSync(flags)
        with self._disk.lock:
            self._file.sync()


@contextlib.contextmanager
def forgetful_disk() -> Iterator[ForgetfulDisk]:
    """The disk under every database that is opened while the block runs."""
    disk = ForgetfulDisk()
    try:
        yield disk
    finally:
        disk.unregister()
