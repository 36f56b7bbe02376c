from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from agent_bus_client import systemd
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_manager_hears_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(patience())
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        systemd.notify("READY=1", "STATUS=ok")
        assert manager.recv(100) == b"READY=1\nSTATUS=ok"


def test_an_abstract_socket_works(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"agent-bus-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.settimeout(patience())
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        systemd.notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")


def test_the_watchdog_is_fed_three_times_per_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert systemd.watchdog_interval_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.watchdog_interval_s() == 10.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_interval_s() is None
