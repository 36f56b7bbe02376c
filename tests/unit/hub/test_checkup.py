"""`agent-bus-admin doctor`: each trouble of a hub's host is named, with what to do."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus import checkup
from agent_bus.core.clock import DAY_MS
from agent_bus.runtime import certificate
from agent_bus.settings import Settings
from agent_bus.stopped import AdminError
from tests.support.certificates import Authority
from tests.support.database_host import DatabaseHost, database_host, member

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("elm", "fir", "gorse")
WHOLE = [member("elm", "leader"), member("fir"), member("gorse")]


def answers(
    *, lost: str = "", silent: str = "", held: Sequence[str] = (), **database: Any
) -> checkup.Ask:
    """Hubs that answer but for `silent`, and hear each other but for `lost`."""

    def ask(url: str | None, path: str) -> Any:
        if silent and silent in str(url):
            raise AdminError(f"{url} does not answer", 69)
        if path == "/api/pauses":
            over = {"reason": "budget", "until": "2026-01-31T12:00:00.000Z"}
            return {"pauses": [], "held": [{"agent": agent, **over} for agent in held]}
        if path == "/api/hubs":
            return {"hubs": [{"name": name, "ready": name != lost} for name in NAMES]}
        members = [{"name": name, "there": name != lost} for name in NAMES]
        fine = {"primary": "elm", "fenced": False, "members": members}
        return {"database": {**fine, **database}, "words": ["Hubs: as they are"]}

    return ask


def checked(
    folder: Path, played: DatabaseHost, ask: checkup.Ask, *, days: int = 200
) -> dict[str, checkup.Check]:
    files = Authority(folder / "tls").issue("member", days=days)
    chosen = Settings.model_validate(
        {
            "database": "postgresql://agent_bus@elm:5432,fir:5432/agent_bus",
            "data_folder": folder,
            "admin_tokens_file": folder / "tokens",
            "name": "elm",
            "hubs": [{"name": name, "url": f"http://{name}:8091"} for name in NAMES],
            "database_certificate_file": folder / "tls/member.crt",
            **files,
            **played.settings,
        }
    )
    now = certificate.expires_at(folder / "tls/member.crt") - days * DAY_MS
    return {one.name: one for one in checkup.checks(chosen, ask, now=now)}


def wrong(found: dict[str, checkup.Check]) -> list[str]:
    """What is not ok, apart from the units, which this machine does not have."""
    return [name for name, one in found.items() if not one.ok and not name.endswith(".service")]


def test_a_whole_fleet_has_nothing_to_be_done(tmp_path: Path) -> None:
    with database_host(members=WHOLE) as played:
        found = checked(tmp_path, played, answers())
    assert wrong(found) == []
    assert found["PostgreSQL"].found == "primary, running, timeline 3"
    assert found["hub fir"].found == "answers, and hears elm"
    assert {checkup.BUS, checkup.DATABASE, checkup.ETCD} < set(found)
    printed = list(checkup.lines(list(found.values())))
    assert "ok   Patroni: answers" in printed


@pytest.mark.parametrize(
    ("said", "ask", "name", "words"),
    [
        ({"members": None}, answers(), "Patroni", "journalctl"),
        ({"members": WHOLE, "is_paused": True}, answers(), "Patroni", "resume"),
        ({"members": WHOLE, "etcd": None}, answers(), "etcd", "journalctl"),
        ({"members": WHOLE, "is_healthy": False}, answers(), "etcd", "room on its disk"),
        (
            {"members": WHOLE, "etcd": {"has_leader": 0, "is_leader": 0, "size": 1}},
            answers(), "etcd", "majority",
        ),
        (
            {"members": WHOLE, "etcd": {"has_leader": 1, "is_leader": 0, "size": 2e9}},
            answers(), "etcd", "room",
        ),
        ({"members": [member("elm", lag=200_000_000)]}, answers(), "PostgreSQL", "reinit"),
        ({"members": [member("elm", state="stopped")]}, answers(), "PostgreSQL", "reinit"),
        ({"members": WHOLE}, answers(silent="fir"), "hub fir", "on fir"),
        ({"members": WHOLE}, answers(lost="gorse"), "hubs and database", "host of gorse"),
        ({"members": WHOLE}, answers(primary=None), "hubs and database", "majority"),
        ({"members": WHOLE}, answers(fenced=True), "hubs and database", "network"),
    ],
)  # fmt: skip
def test_each_trouble_is_named_and_comes_with_what_to_do(
    tmp_path: Path, said: dict[str, Any], ask: checkup.Ask, name: str, words: str
) -> None:
    with database_host(**said) as played:
        found = checked(tmp_path, played, ask)
    assert wrong(found) == [name]
    assert words in found[name].advice
    assert f"     -> {found[name].advice}" in list(checkup.lines([found[name]]))


def test_a_hub_that_the_others_do_not_hear_says_so(tmp_path: Path) -> None:
    with database_host(members=WHOLE) as played:
        found = checked(tmp_path, played, answers(lost="elm"))
    assert wrong(found) == ["hubs and database", "hub fir", "hub gorse"]
    assert found["hub fir"].found == "answers, and does not hear elm"


def test_who_is_not_woken_is_told_and_is_no_fault(tmp_path: Path) -> None:
    with database_host(members=WHOLE) as played:
        found = checked(tmp_path, played, answers(held=["alpha"]))
    assert found["wakes"].ok
    assert found["wakes"].found.startswith("alpha is over its wake budget until 2026-01-31")


def test_a_certificate_that_runs_out_is_told_in_time(tmp_path: Path) -> None:
    with database_host(members=WHOLE) as played:
        found = checked(tmp_path, played, answers(), days=20)
    assert wrong(found) == ["certificate of the hub", "certificate of the database's member"]
    assert "site playbook" in found["certificate of the hub"].advice


@pytest.mark.parametrize("is_postgres", [False, True])
def test_the_certificate_that_a_server_shows_is_read(tmp_path: Path, *, is_postgres: bool) -> None:
    """Also of PostgreSQL, which wants to be asked for TLS first."""
    files = Authority(tmp_path / "tls").issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_certificate_file"], files["tls_key_file"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            if is_postgres:
                assert peer.recv(8) == checkup.SSL_REQUEST
                peer.sendall(b"S")
            context.wrap_socket(peer, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = listener.getsockname()
        found = checkup.shown_end(host, port, is_postgres=is_postgres)
        thread.join()
    assert found == certificate.expires_at(tmp_path / "tls/server.crt")
