"""What preflight has each host run, before Ansible's modules can be used there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jinja2
import pytest

from roles.preflight.filter_plugins.preflight_network import tls_mode

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/preflight/templates/check-host.sh.j2"


def checked(address: str, *, part: str, tls: str = "off") -> subprocess.CompletedProcess[str]:
    """Run the check as a node, or as a hub, whose hub has that address."""
    jinja = jinja2.Environment(trim_blocks=True, autoescape=False)
    jinja.filters.update(tls_mode=tls_mode, bool=bool)
    hostvars = {"box": {"message_bus_tls": tls}}
    script = jinja.from_string(TEMPLATE.read_text()).render(
        inventory_hostname="box",
        groups={"nodes": [], "hub": ["hub"], part: ["box"]},
        hostvars=hostvars,
        agents=["alpha"],
        preflight_python="sh",
        preflight_oldest_python="3.9",
        preflight_openclaw_user="root",
        preflight_bus_address=address,
    )
    # this machine's Python and systemd are not what is asked for here
    here = "sh() { :; }; systemctl() { :; }\n"
    return subprocess.run(
        ["/bin/sh", "-c", here + script], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("part", "tls"), [("nodes", "off"), ("hub", "fleet")])
def test_an_address_that_has_no_name_is_an_address(part: str, tls: str) -> None:
    done = checked("192.0.2.77", part=part, tls=tls)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("part", "tls"), [("nodes", "off"), ("hub", "fleet")])
def test_a_name_that_cannot_be_resolved_is_told(part: str, tls: str) -> None:
    done = checked("no-such.invalid", part=part, tls=tls)
    assert done.returncode == 1
    assert done.stderr.startswith("box: cannot resolve 'no-such.invalid', ")
