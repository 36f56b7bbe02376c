"""A process's wall clock that a test sets while it runs, by Debian's libfaketime.

Only CLOCK_REALTIME is faked, just as the kernel does it when somebody sets the clock.
"""

from __future__ import annotations

from pathlib import Path


class WallClock:
    """The wall clock of every process started with `environ`."""

    def __init__(self, folder: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "this test needs Debian's faketime: `tools/setup` installs it"
        self._file = folder / "faketime"
        self.set(days=0)
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name in releases before 0.9.10
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, *, days: int) -> None:
        """Jump: this many days off the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{days:+d}d\n")
        fresh.rename(self._file)
