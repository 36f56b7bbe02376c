"""Starting and refusing to start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

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


def ended(hub: HubProcess) -> tuple[int, str]:
    hub.start(wait=False)
    assert hub.process is not None
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
