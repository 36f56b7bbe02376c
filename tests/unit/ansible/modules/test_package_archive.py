from __future__ import annotations

import base64
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from library import package_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host() -> dict[str, Any]:
    return {
        "release": "debian 12",
        "arch": "amd64",
        "installed": "abc",
        "status": base64.b64encode(b"Package: dpkg\n").decode(),
        "sources": {
            "/etc/apt/sources.list": "deb [signed-by=/usr/share/keyrings/d.gpg] http://d s main\n"
        },
        "keys": {"/usr/share/keyrings/d.gpg": base64.b64encode(b"key").decode()},
    }


def given(host: dict[str, Any], cache: Path) -> dict[str, Any]:
    return {"host": host, "packages": ["etcd-server"], "sources": [], "cache": str(cache)}


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    apt = folder / "apt-get"
    apt.write_text(f"#!/bin/sh\n{script}\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_apt_sees_the_host_s_sources_with_its_keys(host: dict[str, Any], tmp_path: Path) -> None:
    options = package_archive.lay_out(tmp_path / "apt", host, [])
    (source,) = (tmp_path / "apt" / "sources.list.d").iterdir()
    key = tmp_path / "apt" / "keys" / "usr_share_keyrings_d.gpg"
    assert source.read_text() == f"deb [signed-by={key}] http://d s main\n"
    assert key.read_bytes() == b"key"
    assert f"Dir::State::status={tmp_path}/apt/status" in options
    assert "APT::Architecture=amd64" in options


def test_given_sources_replace_the_host_s(host: dict[str, Any], tmp_path: Path) -> None:
    package_archive.lay_out(tmp_path / "apt", host, ["deb http://mirror.example s main"])
    (source,) = (tmp_path / "apt" / "sources.list.d").iterdir()
    assert source.read_text() == "deb http://mirror.example s main\n"


def test_what_apt_fetched_is_one_archive_and_fetched_once(
    host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = """
for word; do case $word in Dir::Cache::archives=*) place=${word#*=};; esac; done
echo x >> "$(dirname "$0")/calls"
for word; do [ "$word" != install ] || echo deb > "$place/etcd-server_1_amd64.deb"; done"""
    fake_apt(tmp_path / "bin", monkeypatch, fetch)
    first = package_archive.build(given(host, tmp_path / "cache"))
    assert package_archive.build(given(host, tmp_path / "cache")) == first
    with tarfile.open(first["archive"]) as tar:
        assert tar.getnames() == [
            first["folder"],
            f"{first['folder']}/etcd-server_1_amd64.deb",
        ]
    assert len((tmp_path / "bin" / "calls").read_text().split()) == 2  # update and install
    assert package_archive.build(given({**host, "installed": "d"}, tmp_path / "cache")) != first


def test_apt_s_own_words_say_what_is_wrong(
    host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path / "bin", monkeypatch, "echo 'E: Unable to locate package' >&2; exit 100")
    with pytest.raises(ValueError, match=r"(?s)for debian 12:.*Unable to locate package"):
        package_archive.build(given(host, tmp_path / "cache"))
    assert list((tmp_path / "cache" / "packages").iterdir()) == []


def test_ubuntu_without_universe_is_told_where_etcd_is(
    host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path / "bin", monkeypatch, "exit 100")
    ubuntu = {**host, "release": "ubuntu 24.04"}
    with pytest.raises(ValueError, match="add-apt-repository universe"):
        package_archive.build(given(ubuntu, tmp_path / "cache"))
    whole = {**given(ubuntu, tmp_path / "cache"), "sources": ["deb http://u noble main universe"]}
    with pytest.raises(ValueError, match=r"(?s)^(?!.*add-apt-repository)"):
        package_archive.build(whole)
