"""Wake, mute, backup and archive, and agent-bus-admin with its restore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN, REPOSITORY, HubProcess, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from tests.support.hub import Client


def admin(hub: HubProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    token = hub.folder / "admin.token"
    token.write_text(ADMIN + "\n")
    options = ["--config", str(hub.folder / "hub.json"), "--token-file", str(token)]
    return subprocess.run(
        [sys.executable, "-m", "agent_bus", "admin", *options, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "files")},
        capture_output=True,
        text=True,
        timeout=patience(),
        check=False,
    )


def answered(hub: HubProcess, *arguments: str) -> Any:
    done = admin(hub, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_wake_reaches_the_watcher_and_says_what_waits(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        hub.client("n2").send(to="delta")
        told = hub.client(None).call("POST", "/api/agents/delta/wake")
        assert told.status == 200
        assert told.body == {"agent": "delta", "node": "n3", "status": "online", "unfetched": 1}
        assert stream.of_type("wake").data["agents"] == ["delta"]


def test_a_wake_without_a_watcher_says_so(hub: HubProcess) -> None:
    for name in ("delta", "operator"):
        refused = hub.client(None).call("POST", f"/api/agents/{name}/wake")
        assert (refused.status, refused.body["code"]) == (409, "no_watcher")
    unknown = hub.client(None).call("POST", "/api/agents/nobody/wake")
    assert (unknown.status, unknown.body["code"]) == (404, "unknown_agent")


def muted_until(client: Client, name: str) -> Any:
    listed = client.get("/api/agents").body["agents"]
    return next(agent["muted_until"] for agent in listed if agent["name"] == name)


def test_a_mute_is_told_to_the_watcher_and_its_end_too(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        muted = hub.client(None).post("/api/agents/delta/mute", {"for_s": 3600})
        assert muted.body["muted_until"] == stream.of_type("mailbox").data["muted_until"]
        assert muted_until(hub.client("n1"), "delta") == muted.body["muted_until"]
        hub.client("n2").send(to="delta")
        assert stream.of_type("message").data["to_agent"] == "delta"
        assert stream.of_type("mailbox").data["muted_until"] == muted.body["muted_until"]
        hub.client(None).post("/api/agents/delta/mute", {"for_s": 2})
        assert stream.of_type("mailbox").data["muted_until"] is not None
        end = stream.of_type("mailbox").data
        assert (end["muted_until"], end["unfetched"]) == (None, 1)
        assert muted_until(hub.client("n1"), "delta") is None


@pytest.mark.parametrize(
    "path",
    [
        "/api/agents/delta/wake",
        "/api/agents/delta/mute",
        "/api/admin/backup",
        "/api/admin/archive",
    ],
)
def test_the_operators_calls_are_refused_to_nodes(hub: HubProcess, path: str) -> None:
    refused = hub.client("n3").call("POST", path, {"for_s": 1})
    assert (refused.status, refused.body["code"]) == (403, "forbidden")


def test_backups_are_sound_and_only_the_newest_stay(tmp_path: Path) -> None:
    with running(tmp_path, backup_keep=2) as hub:
        hub.client("n2").send(to="delta")
        made = [hub.client(None).call("POST", "/api/admin/backup").body for _ in range(3)]
        assert len({one["path"] for one in made}) == 3
        left = sorted(str(path) for path in (tmp_path / "backups").iterdir())
        assert left == [one["path"] for one in made[1:]]
        stats = hub.client(None).get("/api/stats").body
        assert made[-1]["epoch"] == stats["epoch"]
        assert made[-1]["bytes"] == Path(made[-1]["path"]).stat().st_size
        assert Path(made[-1]["path"]).stat().st_mode & 0o777 == 0o600


def test_archive_moves_what_is_old_enough(tmp_path: Path) -> None:
    with running(tmp_path, retain_read_days=1e-9, sweep_interval_s=3600) as hub:
        sent = hub.client("n2").send(to="delta")
        hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
        wait_until(lambda: answered(hub, "archive")["touched"] == 1)
        assert hub.client("n3").get("/api/history").body["messages"] == []
        archived = hub.client("n3").get("/api/history?archived=1").body["messages"]
        assert [message["id"] for message in archived] == [sent["id"]]


def test_the_admin_tool_speaks_through_the_api(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert admin(hub, "check-config").returncode == 0
        table = admin(hub, "roster").stdout.splitlines()
        assert table[0].split()[:3] == ["name", "node", "status"]
        assert table[1].split()[:3] == ["alpha", "n1", "offline"]
        told = {"sqlite": "database.journal_mode wal", "postgres": "database.fsync off"}
        assert told[hub.store] in admin(hub, "stats").stdout
        assert answered(hub, "mute", "delta", "60")["muted_until"]
        refused = admin(hub, "wake", "delta")
        assert (refused.returncode, "no_watcher" in refused.stderr) == (1, True)
        probed = admin(hub, "probe", "delta")
        assert probed.returncode == 1
        assert "no watcher" in probed.stdout
        for verb in (["verify-db"], ["restore", str(tmp_path / "bus.db")]):
            busy = admin(hub, *verb)
            assert (busy.returncode, "systemctl stop" in busy.stderr) == (75, True)
        (tmp_path / "wrong.token").write_text("wrong\n")
        denied = admin(hub, "--token-file", str(tmp_path / "wrong.token"), "stats")
        assert denied.returncode == 77
        unreadable = admin(hub, "--token-file", str(tmp_path / "missing"), "stats")
        assert unreadable.returncode == 77
        hub.hang_up()
        hub.stop()
        assert admin(hub, "stats").returncode == 69
        assert admin(hub, "nonsense").returncode == 2
        if hub.store == "sqlite":  # PostgreSQL checks its own pages
            assert answered(hub, "verify-db")["sound"] is True


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_restore_brings_the_backup_back_and_clients_are_told(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_BUS_STORE", store)
    with running(tmp_path) as hub:
        kept = hub.client("n2").send("kept", to="delta")["id"]
        backup = answered(hub, "backup")
        lost = hub.client("n2").send("lost", to="delta")["id"]
        stream = hub.stream("n3")
        stream.of_type("message")
        stream.of_type("message")
        hub.hang_up()
        hub.stop()
        restored = answered(hub, "restore", backup["path"])
        assert restored["epoch"] != backup["epoch"]
        assert store != "sqlite" or Path(restored["aside"]).exists()
        hub.start()
        again = hub.stream("n3", last_event_id=stream.last_id or "")
        assert again.of_type("hello").data["epoch"] == restored["epoch"]
        assert again.of_type("reset").data["reason"] == "epoch"
        assert again.of_type("message").data["id"] == kept
        inbox = hub.client("n3").get("/api/inbox").body["messages"]
        assert lost not in [message["id"] for message in inbox]
        assert hub.client("n2").send("after", to="delta")


def state(hub: HubProcess) -> object:
    """What would change if something were changed."""
    if hub.store == "sqlite":
        return (hub.folder / "bus.db").read_bytes()
    return hub.rows("SELECT pk, id, open_count FROM message ORDER BY pk")


def test_a_damaged_backup_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        for n in range(30):
            hub.client("n2").send("x" * 3000 + str(n), to="delta")
        backup = Path(answered(hub, "backup")["path"])
        hub.hang_up()
        hub.stop()
        content = bytearray(backup.read_bytes())
        content[8192:40960] = b"\xff" * (40960 - 8192)
        backup.write_bytes(content)
        before = state(hub)
        for file in (str(backup), str(tmp_path / "missing.db"), str(tmp_path / "hub.json")):
            refused = admin(hub, "restore", file)
            assert refused.returncode == 1, refused
            assert "Nothing was changed" in refused.stderr
        assert state(hub) == before
        hub.start()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_was_prepared_while_the_bus_ran_is_put_in_place_in_a_moment(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_BUS_STORE", store)
    with running(tmp_path) as hub:
        kept = hub.client("n2").send("kept", to="delta")["id"]
        backup = answered(hub, "backup")
        lost = hub.client("n2").send("lost", to="delta")["id"]
        prepared = answered(hub, "prepare-restore", backup["path"])
        assert Path(backup["path"]).exists()
        assert hub.client(None).get("/api/stats").body["epoch"] == backup["epoch"]
        hub.hang_up()
        hub.stop()
        assert admin(hub, "restore").returncode == 2
        restored = answered(hub, "restore", "--prepared")
        assert restored["epoch"] == prepared["epoch"]
        hub.start()
        assert hub.client(None).get(f"/api/messages/{kept}").status == 200
        assert hub.client(None).get(f"/api/messages/{lost}").status == 404


def test_the_admin_tool_shows_who_may_write_to_whom(tmp_path: Path) -> None:
    rules = [
        {"from": ["gamma"], "to": ["delta"], "name": "narrow"},
        {"from": ["delta"], "to": []},
    ]
    with running(tmp_path) as hub:
        assert hub.enrol(rights=rules).status == 200
        lines = admin(hub, "rights").stdout.splitlines()
        assert lines == [
            "agent  may write to    by rule",
            "alpha  all             no rule",
            "beta   all             no rule",
            "delta  operator alone  2",
            "gamma  delta           1",
            "",
            "rule 1 (narrow): from gamma to delta",
            "rule 2: from delta to nobody",
        ]
        (one,) = answered(hub, "rights", "gamma")["agents"]
        assert one == {"agent": "gamma", "to": ["delta"], "rules": [1]}
        unknown = admin(hub, "rights", "gama")
        assert (unknown.returncode, "Did you mean gamma?" in unknown.stderr) == (1, True)
