from __future__ import annotations

import itertools
import subprocess

import pytest

from lab.engine import network
from lab.paths import LabError


def test_every_subnet_is_a_candidate_once_the_one_it_had_first() -> None:
    found = list(network.candidates("demo", "10.213.9.0/24"))
    assert found[:2] == ["10.213.9.0/24", "10.213.77.0/24"]
    assert len(found) == len(set(found)) == 256
    assert "10.213.77.0/24" not in network.candidates("demo", avoid="10.213.77.0/24")


def test_fleets_of_one_name_in_two_clones_differ_in_all_that_a_machine_has_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = network.network_name("mine"), network.bridge_name("mine")
    monkeypatch.setattr(network, "OWNER", "01234567")
    there = network.network_name("mine"), network.bridge_name("mine")
    assert set(here).isdisjoint(there)
    assert all(len(name) <= 15 for name in (here[1], there[1]))


class Podman:
    """Refuses every subnet but one, as if others used them."""

    def __init__(self, free: str, why: str = "subnet is already used on the host") -> None:
        self.tried: list[str] = []
        self._free = free
        self._why = why

    def __call__(self, *arguments: str, **_: object) -> subprocess.CompletedProcess[str]:
        if arguments[:2] == ("network", "create"):
            self.tried.append(arguments[3])
            code = 0 if arguments[3] == self._free else 125
            return subprocess.CompletedProcess(arguments, code, "", self._why)
        return subprocess.CompletedProcess(arguments, 1, "", "")


def test_a_subnet_that_somebody_uses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    third = next(itertools.islice(network.candidates("demo"), 2, None))
    podman = Podman(third)
    monkeypatch.setattr(network, "podman", podman)
    monkeypatch.setattr(network, "remove_bridge", lambda _: None)
    monkeypatch.setattr(network, "_name_bridge", lambda _: None)
    assert network.ensure("demo") == third
    assert len(podman.tried) == 3


def test_another_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "podman", Podman("", "no space left"))
    monkeypatch.setattr(network, "remove_bridge", lambda _: None)
    with pytest.raises(LabError, match="no space left"):
        network.ensure("demo")
