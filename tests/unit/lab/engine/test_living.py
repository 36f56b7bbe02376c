from __future__ import annotations

import os
import subprocess

import pytest

from lab.engine import living
from lab.paths import ROOT, key_of

DEVICE = ROOT.stat().st_dev
WHERE = f"{os.major(DEVICE)}:{os.minor(DEVICE)}"


def mounted(path: str, *, target: str = "/etc/ssh/authorized_keys.d/ansible") -> str:
    return (
        "700 600 0:50 / / rw,relatime - overlay overlay rw\n"
        f"701 700 {WHERE} {path} {target} ro,relatime - ext4 /dev/vda rw\n"
    )


def test_a_container_with_the_fleets_key_is_the_fleets_also_when_the_file_is_gone() -> None:
    key = str(key_of("demo").with_suffix(".pub"))
    assert living.has_key(mounted(key), "demo")
    assert living.has_key(mounted(f"{key}//deleted"), "demo")
    assert not living.has_key(mounted(key), "dem")
    assert not living.has_key(mounted(key), "demo-2")


@pytest.mark.parametrize(
    "path",
    [
        "/home/other/clone/.cache/lab/demo/ssh/id_ed25519.pub",
        "/home/other/.ssh/id_ed25519.pub",
        "/",
    ],
)
def test_a_container_of_another_clone_or_of_anybody_is_not(path: str) -> None:
    assert not living.has_key(mounted(path), "demo")


def test_the_key_elsewhere_in_a_container_says_nothing() -> None:
    key = str(key_of("demo").with_suffix(".pub"))
    assert not living.has_key(mounted(key, target="/mnt/key"), "demo")


def test_only_the_first_process_of_a_namespace_below_ours_counts() -> None:
    assert living.is_first("Name:\tsystemd\nNSpid:\t4711\t1\n")
    assert not living.is_first("Name:\tsshd\nNSpid:\t4712\t33\n")
    assert not living.is_first("Name:\tinit\nNSpid:\t1\n")


def test_what_is_ended_is_gone_when_it_returns() -> None:
    monitor, first = (subprocess.Popen(["sleep", "600"]) for _ in range(2))
    living.end([living.Resident(first.pid, monitor.pid, "")])
    assert monitor.poll() == first.poll() == -9
    living.end([living.Resident(first.pid, monitor.pid, "")])  # gone already
