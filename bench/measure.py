"""Figures: quantiles, the machine, and the bare cost of an fsync on the disk in use."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Times:
    """Durations in seconds, and how many messages per second went through."""

    seconds: list[float] = field(default_factory=list)
    per_s: float | None = None
    lost: int = 0
    doubled: int = 0
    client_us: float | None = None
    """CPU of the measuring process for each message."""
    server_us: float | None = None
    """CPU of all processes of the server for each message."""

    def take(self, other: Times) -> None:
        """Take over the durations of another, and what it has found lost or doubled."""
        self.seconds += other.seconds
        self.lost += other.lost
        self.doubled += other.doubled

    def quantile(self, share: float) -> float:
        """A quantile in milliseconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def figures(self) -> dict[str, Any]:
        """As JSON: n, p50_ms, p99_ms, max_ms, per_s, lost, doubled."""
        found: dict[str, Any] = {"n": len(self.seconds), "lost": self.lost}
        found["doubled"] = self.doubled
        if self.seconds:
            found["p50_ms"] = round(self.quantile(0.5), 3)
            found["p99_ms"] = round(self.quantile(0.99), 3)
            found["max_ms"] = round(max(self.seconds) * 1000, 3)
        for name in ("per_s", "server_us", "client_us"):
            if (value := getattr(self, name)) is not None:
                found[name] = round(value, 1)
        return found


def fsync_ms(folder: Path, *, rounds: int = 200) -> dict[str, float]:
    """p50 and p99 of appending 4 KiB and fsyncing it, in milliseconds."""
    times = Times()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
        for _ in range(rounds):
            began = time.perf_counter()
            probe.write(b"x" * 4096)
            os.fsync(probe.fileno())
            times.seconds.append(time.perf_counter() - began)
    return {"p50_ms": round(times.quantile(0.5), 3), "p99_ms": round(times.quantile(0.99), 3)}


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if str(folder).startswith(mount) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def machine(folder: Path) -> dict[str, Any]:
    """What the figures were taken on."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "file_system": file_system(folder),
        "fsync": fsync_ms(folder),
    }


def process_cpu_s(pid: int) -> float:
    """CPU that a process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
