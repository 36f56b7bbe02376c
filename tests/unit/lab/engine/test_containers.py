from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from lab.engine import containers
from lab.paths import OWNER, LabError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> containers.Spec:
    return make(tmp_path, "one", "10.213.77.10")


def make(folder: Path, host: str, address: str) -> containers.Spec:
    key = folder / "key.pub"
    key.write_text("ssh-ed25519 AAAA")
    return containers.Spec("demo", host, address, "image:1", key)


def there(
    spec: containers.Spec, *, running: bool = True, digest: str = ""
) -> containers.Container:
    return containers.Container(
        spec.name, spec.host, spec.address, digest or spec.digest(), running
    )


SUBNET = "10.213.77.0/24"


def test_hosts_get_the_lowest_free_addresses_and_keep_them() -> None:
    first = containers.addresses(SUBNET, ["a", "b"], {})
    assert first == {"a": "10.213.77.10", "b": "10.213.77.11"}
    later = containers.addresses(SUBNET, ["c", "b", "d"], first)
    assert later == {"b": "10.213.77.11", "c": "10.213.77.10", "d": "10.213.77.12"}


def test_addresses_of_another_subnet_are_not_kept() -> None:
    known = {"a": "10.213.78.10"}
    assert containers.addresses(SUBNET, ["a"], known) == {"a": "10.213.77.10"}


def test_a_fleet_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LabError, match="do not fit"):
        containers.addresses(SUBNET, [f"h{number}" for number in range(260)], {})


def test_mounts_are_read_only(tmp_path: Path) -> None:
    key = make(tmp_path, "one", "10.213.77.10").public_key
    spec = containers.Spec("demo", "one", "10.213.77.10", "image:1", key, ("/srv/x:/opt/x",))
    assert "--volume=/srv/x:/opt/x:ro" in spec.arguments()


def test_a_running_fleet_is_left_alone(spec: containers.Spec) -> None:
    steps = containers.plan([spec], [there(spec)])
    assert steps == containers.Plan(keep=[spec])


def test_missing_stopped_changed_and_foreign_hosts(tmp_path: Path) -> None:
    new, stopped, changed, gone = (
        make(tmp_path, host, f"10.213.77.{number}")
        for number, host in enumerate(("new", "stopped", "changed", "gone"), start=10)
    )
    steps = containers.plan(
        [new, stopped, changed],
        [there(stopped, running=False), there(changed, digest="other"), there(gone)],
    )
    assert steps.create == [new, changed]
    assert steps.start == [stopped]
    assert steps.remove == [gone.name, changed.name]


def test_a_new_key_or_image_means_a_new_container(spec: containers.Spec, tmp_path: Path) -> None:
    before = spec.digest()
    spec.public_key.write_text("another key")
    assert spec.digest() != before


def test_another_login_shell_or_umask_means_a_new_container(spec: containers.Spec) -> None:
    hardened = dataclasses.replace(spec, traits=("lab_umask=027",))
    assert hardened.digest() != spec.digest()


def test_the_mac_address_follows_from_the_address(spec: containers.Spec) -> None:
    assert spec.mac == "02:fe:0a:d5:4d:0a"


def test_podmans_listing_is_read() -> None:
    labels = {
        "agent-bus-lab": "demo",
        "agent-bus-lab.host": "one",
        "agent-bus-lab.address": "10.213.77.10",
        "agent-bus-lab.spec": "abc",
    }
    entry = {"Names": ["a.one"], "State": "exited", "Labels": labels, "Id": "1f"}
    assert containers.parse_listing(json.dumps([entry])) == [
        containers.Container("a.one", "one", "10.213.77.10", "abc", running=False, id="1f")
    ]
    assert containers.parse_listing("null") == []


def test_a_name_tells_clone_fleet_and_host_apart() -> None:
    assert OWNER in containers.container_name("demo", "x")
    assert not containers.container_name("demo-x", "y").startswith(
        containers.container_name("demo", "")
    )
