"""A disk that fails on demand, below a real SQLite: a VFS shim that breaks calls on the WAL."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator


class FaultyDisk(apsw.VFS):
    """Passes everything on to the system's VFS, unless a test has set faults for the WAL.

    Attributes:
        writes: the errors of the next writes; when none is left, the disk works.
        syncs: the same for syncs.
    """

    def __init__(self) -> None:
        self.writes: Iterator[Exception] = iter(())
        self.syncs: Iterator[Exception] = iter(())
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> Any:  # noqa: N802 - apsw's name
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._is_wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("unix", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - apsw's name
        for error in self._disk.writes if self._is_wal else ():
            raise error
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        for error in self._disk.syncs if self._is_wal else ():
            raise error
        super().xSync(flags)


@contextlib.contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """The disk under every database that is opened while the block runs."""
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.unregister()
