"""Starting and refusing to start."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import ON_SQLITE, REPOSITORY, HubProcess, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path


def check_config(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent_bus", "check-config", str(path)],
        cwd=REPOSITORY / "files",
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_config_accepts_a_good_file_and_explains_a_bad_one(tmp_path: Path) -> None:
    good = {"database": str(tmp_path / "bus.db"), "admin_tokens_file": str(tmp_path / "t")}
    path = tmp_path / "hub.json"
    path.write_text(json.dumps(good))
    assert check_config(path).returncode == 0
    path.write_text(json.dumps({**good, "body_limit": 5, "readers": 0}))
    bad = check_config(path)
    assert bad.returncode == 78
    assert "did you mean 'body_limit_bytes'" in bad.stderr
    assert "readers" in bad.stderr


def ended(hub: HubProcess, *signals: signal.Signals) -> tuple[int, str]:
    hub.start(wait=bool(signals))
    assert hub.process is not None
    for one in signals:
        hub.process.send_signal(one)
    code = hub.process.wait(patience())
    hub.process = None
    return code, hub.log()


def test_a_second_process_on_the_same_database_refuses_to_start(tmp_path: Path) -> None:
    with running(tmp_path):
        second = HubProcess(tmp_path, {"database": str(tmp_path / "bus.db")})
        code, log = ended(second)
        assert code != 0
        assert "another agent-bus is using its folder" in log


@ON_SQLITE
def test_a_damaged_file_is_refused_with_the_way_back(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        for n in range(50):
            hub.client("n2").send("x" * 2000 + str(n), to="delta")
        hub.hang_up()
        hub.stop()
        content = bytearray((tmp_path / "bus.db").read_bytes())
        content[4096:40960] = b"\xff" * (40960 - 4096)
        (tmp_path / "bus.db").write_bytes(content)
        code, log = ended(hub)
        assert code != 0
        assert "restore" in log
        assert "damaged" in log


@ON_SQLITE
def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    import apsw

    with running(tmp_path) as hub:
        hub.hang_up()
        hub.stop()
        connection = apsw.Connection(str(tmp_path / "bus.db"))
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'min_reader_version'")
        connection.close()
        code, log = ended(hub)
        assert code != 0
        assert "schema 99" in log


@ON_SQLITE
def test_a_file_that_a_newer_release_extended_compatibly_still_opens(tmp_path: Path) -> None:
    import apsw

    with running(tmp_path) as hub:
        hub.hang_up()
        hub.stop()
        connection = apsw.Connection(str(tmp_path / "bus.db"))
        connection.execute("ALTER TABLE message ADD COLUMN later TEXT")
        connection.execute("ALTER TABLE delivery ADD COLUMN later TEXT")
        connection.execute("ALTER TABLE idempotency ADD COLUMN later TEXT")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        hub.start()
        sent = hub.client("n2").post(
            "/api/send", {"to": "delta", "body": "x"}, Idempotency_Key="k"
        )
        assert sent.status == 201
        assert hub.client("n3").post("/api/ack", {"ids": [sent.body["id"]]}).status == 200


def test_a_head_request_does_not_count_as_having_read(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        hub.client("n2").send(to="delta")
        refused = hub.client("n3").call("HEAD", "/api/inbox")
        assert (refused.status, refused.headers["allow"]) == (405, "GET")
        assert hub.client("n3").get("/api/inbox").body["messages"][0]["fetch_count"] == 0
        assert hub.client("n3").call("HEAD", "/livez").status == 200


def test_a_parameter_that_a_call_does_not_know_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        for method, path in (("POST", "/api/send"), ("GET", "/api/stats")):
            refused = hub.client("n2").call(method, f"{path}?colour=red", None)
            assert (refused.status, refused.body["field"]) == (400, "colour")


def test_a_hub_is_one_process_and_says_itself_that_it_serves_and_that_it_stops(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.settimeout(patience())
        told = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
            "PYTHONPATH": str(REPOSITORY / "files"),
        }
        with running(tmp_path, told) as hub:
            assert hub.process is not None
            pid = hub.process.pid
            assert notified(systemd) == (pid, "READY=1\nSTATUS=Serving")
            assert notified(systemd) == (pid, "WATCHDOG=1")
            assert children(pid) == ""
            stream = hub.stream("n1")
            stream.of_type("hello")
            assert hub.stop() == 0
            assert [event.type for event in stream.rest()] == ["bye"]
            said = [notified(systemd)]
            while said[-1][1] == "WATCHDOG=1":
                said.append(notified(systemd))
            assert said[-1] == (pid, "STOPPING=1\nSTATUS=Draining streams")


def notified(systemd: socket.socket) -> tuple[int, str]:
    """Who said what."""
    text, ancillary, _, _ = systemd.recvmsg(500, socket.CMSG_SPACE(12))
    return struct.unpack("3i", ancillary[0][2])[0], text.decode()


def children(pid: int) -> str:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_ends_it_ends_it_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    hub = HubProcess(tmp_path)
    assert ended(hub, end) == (0, hub.log())
    assert "Traceback" not in hub.log()


def test_signals_for_programs_with_an_arbiter_change_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert hub.process is not None
        for one in (signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1, signal.SIGWINCH):
            hub.process.send_signal(one)
        assert hub.client(None).get("/readyz").status == 200
        hub.hang_up()
        assert hub.stop() == 0


def test_a_hub_whose_port_is_taken_ends_before_it_touches_the_database(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        hub = HubProcess(tmp_path, port=other.getsockname()[1])
        code, log = ended(hub)
    assert code == 1
    assert "Connection in use" in log
    assert not (tmp_path / "bus.db").exists()


@ON_SQLITE
def test_a_hub_that_cannot_be_built_ends_with_a_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bus.db").mkdir()
    code, log = ended(HubProcess(tmp_path))
    assert code == 3
    assert "cannot be opened" in log
    assert "Traceback" not in log


def test_a_defect_while_it_is_built_is_shown_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import agent_bus.app\n"
        "class Broken:\n"
        "    def Hub(self, *_):\n"
        "        raise ZeroDivisionError('a defect')\n"
        "import sys\n"
        "sys.modules['agent_bus.app.hub'] = Broken()\n"
    )
    path = f"{tmp_path}:{REPOSITORY / 'files'}"
    code, log = ended(HubProcess(tmp_path, environ={"PYTHONPATH": path}))
    assert code == 3
    assert "ZeroDivisionError: a defect" in log
