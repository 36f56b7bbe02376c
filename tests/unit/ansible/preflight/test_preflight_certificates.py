from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from filter_plugins.fleet import tls_mode
from roles.preflight.filter_plugins.preflight_certificates import tls_findings
from tests.support.certificates import Authority
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

OWN = {
    "message_bus_tls": "own",
    "message_bus_tls_certificate": "/c.crt",
    "message_bus_tls_key": "/c.key",
    "message_bus_tls_ca": "/ca.crt",
    "bus_address": "127.0.0.1",
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def texts(authority: Authority, **how: Any) -> dict[str, str]:
    """Give what the operator's three files hold."""
    made = authority.issue("own", **how)
    return {
        "certificate": (authority.folder / "own.crt").read_text(),
        "key": (authority.folder / made["tls_key_file"]).read_text(),
        "ca": authority.ca_file.read_text(),
    }


def tls(variables: dict[str, Any], given: dict[str, str] | None = None) -> list[str]:
    found = tls_findings(
        variables, hub="t440", mode=tls_mode(variables["message_bus_tls"]), texts=given or {}
    )
    assert all(finding["keys"] for finding in found)
    return [finding["says"] for finding in found]


@pytest.mark.parametrize("value", [None, False, "off", "fleet"])
def test_what_needs_no_files_passes(value: object) -> None:
    assert tls({"message_bus_tls": value}) == []


def test_own_files_have_to_be_named_and_readable() -> None:
    assert "needs message_bus_tls_certificate" in tls({"message_bus_tls": "own"})[0]
    assert "/c.crt cannot be read on this machine" in tls(OWN)[0]


def test_a_certificate_that_fits_passes(authority: Authority) -> None:
    assert tls(OWN, texts(authority)) == []
    assert tls({**OWN, "bus_address": "LOCALHOST"}, texts(authority)) == []
    assert tls({**OWN, "bus_address": "a.lan"}, texts(authority, names=["*.lan"])) == []


def test_everything_wrong_with_a_certificate_is_said(tmp_path: Path, authority: Authority) -> None:
    given = texts(authority, names=["elsewhere", "10.0.0.9"], days=-2)
    other = Authority(tmp_path / "other")
    given["ca"] = other.ca_file.read_text()
    given["key"] = texts(other)["key"]
    found = " ".join(tls(OWN, given))
    assert "has expired on" in found
    assert "is for elsewhere, 10.0.0.9, not for 127.0.0.1" in found
    assert "the key is not the one of the certificate" in found
    assert "is not signed by message_bus_tls_ca" in found


@pytest.mark.parametrize("kind", ["certificate", "key", "ca"])
def test_what_is_no_pem_is_said(authority: Authority, kind: str) -> None:
    found = tls(OWN, {**texts(authority), kind: "rubbish"})
    assert len(found) == 1
    assert "cannot be read as PEM" in found[0]


def test_a_wildcard_covers_one_label_only(authority: Authority) -> None:
    given = texts(authority, names=["*.lan"])
    assert "not for a.b.lan" in tls({**OWN, "bus_address": "a.b.lan"}, given)[0]


def test_each_of_several_hubs_has_a_certificate_of_its_own_name(
    authority: Authority, tmp_path: Path
) -> None:
    hubs = {}
    for hub, name in {"elm": "elm", "fir": "fir", "gorse": "fir"}.items():
        made = authority.issue(hub, names=[name])
        hubs[hub] = {
            "message_bus_tls": "own",
            "message_bus_tls_certificate": made["tls_certificate_file"],
            "message_bus_tls_key": made["tls_key_file"],
            "message_bus_tls_ca": str(authority.ca_file),
        }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"hub": {"hosts": hubs}}))
    name = "Check the operator's own certificate of each other hub"
    done = play(
        [task_of("roles/preflight/tasks/inventory.yml", name)],
        tmp_path,
        variables={"preflight_hub_name": "elm"},
        hosts="hub",
        inventory=[str(inventory)],
    )
    assert "gorse: the certificate is for fir, not for gorse" in done.stdout
    assert "fir: the" not in done.stdout
