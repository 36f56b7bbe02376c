from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from library import fleet_ca
from tests.support.module import answer_of

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["t440", "192.168.1.5", "::1"]
FILES = ("ca.crt", "ca.key", "hub.crt", "hub.key")


def ask(folder: Path, names: list[str] | None = None, *, check: bool = False) -> dict[str, Any]:
    """Run the module as Ansible does."""
    arguments = {"folder": str(folder), "names": names or NAMES, "_ansible_check_mode": check}
    return answer_of("fleet_ca", arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def shown(folder: Path, *arguments: str) -> str:
    """What openssl says of the hub's certificate."""
    return subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", *arguments, "hub.crt"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def aged(folder: Path, *, ca_days: int, hub_days: int) -> None:
    """Make both certificates as they are that many days before their end."""
    now = datetime.now(UTC)
    key, hub_key = fleet_ca.new_key(), fleet_ca.new_key()
    authority = fleet_ca.make_authority(key, now - timedelta(days=fleet_ca.CA_DAYS - ca_days))
    made = now - timedelta(days=fleet_ca.CERTIFICATE_DAYS - hub_days)
    certificate = fleet_ca.make_certificate(
        hub_key, NAMES, made, authority=authority, authority_key=key
    )
    fleet_ca.keep(folder / "ca.crt", authority)
    fleet_ca.keep(folder / "ca.key", key)
    fleet_ca.keep(folder / "hub.crt", certificate)
    fleet_ca.keep(folder / "hub.key", hub_key)


def test_it_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    assert ask(folder)["reason"] == "there is none"
    first = contents(folder)
    assert ask(folder) == {**ask(folder), "changed": False, "reason": ""}
    assert contents(folder) == first
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("ca.key", "hub.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_openssl_takes_it_at_its_strictest(tmp_path: Path) -> None:
    ask(tmp_path)
    assert shown(tmp_path, "-verify_hostname", "t440", "-purpose", "sslserver") == "hub.crt: OK\n"
    assert shown(tmp_path, "-verify_ip", "192.168.1.5") == "hub.crt: OK\n"
    assert shown(tmp_path, "-verify_ip", "::1") == "hub.crt: OK\n"
    assert "OK" not in shown(tmp_path, "-verify_hostname", "elsewhere")


def test_a_check_run_writes_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path / "tls", check=True)["changed"]
    assert not (tmp_path / "tls").exists()


def test_other_names_make_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    ask(tmp_path)
    before = contents(tmp_path)
    assert ask(tmp_path, [*NAMES, "bus"])["reason"] == "the hub's names have changed"
    after = contents(tmp_path)
    assert {name for name in FILES if before[name] != after[name]} == {"hub.crt", "hub.key"}


@pytest.mark.parametrize(("left", "renewed"), [(31, False), (29, True), (-5, True)])
def test_it_is_renewed_with_less_than_30_days_left(
    tmp_path: Path, left: int, *, renewed: bool
) -> None:
    aged(tmp_path, ca_days=1000, hub_days=left)
    authority = (tmp_path / "ca.crt").read_bytes()
    assert ask(tmp_path)["reason"].startswith("it ends") == renewed
    assert (tmp_path / "ca.crt").read_bytes() == authority
    assert shown(tmp_path) == "hub.crt: OK\n"


def test_a_renewed_authority_is_trusted_by_who_has_the_old_one(tmp_path: Path) -> None:
    aged(tmp_path, ca_days=300, hub_days=200)
    old = (tmp_path / "ca.crt").read_bytes()
    assert ask(tmp_path)["changed"]
    assert (tmp_path / "ca.crt").read_bytes() != old
    assert shown(tmp_path) == "hub.crt: OK\n"
    (tmp_path / "ca.crt").write_bytes(old)
    assert shown(tmp_path) == "hub.crt: OK\n"


def test_a_lost_key_of_the_authority_matters_only_when_it_is_needed(tmp_path: Path) -> None:
    ask(tmp_path)
    (tmp_path / "ca.key").unlink()
    assert not ask(tmp_path)["changed"]
    assert "restore it from a backup" in ask(tmp_path, ["other"])["msg"]


def test_a_certificate_without_its_key_is_replaced(tmp_path: Path) -> None:
    ask(tmp_path)
    fleet_ca.keep(tmp_path / "hub.key", fleet_ca.new_key())
    assert ask(tmp_path)["reason"] == "there is none"
    assert not ask(tmp_path)["changed"]
