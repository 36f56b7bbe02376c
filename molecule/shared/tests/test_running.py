"""Questions to any fleet of a scenario; nothing here reads a file Ansible wrote."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from lab.paths import ROOT
from lab.probe import rollcall

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

NAME = re.compile(r"\b(?:agent_bus|process)_[a-z0-9_]+")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\w[^|]*)?\|", re.MULTILINE)
PART = re.compile(r"_(?:bucket|sum|count)$")


def test_no_unit_has_failed(running: RunningFleet) -> None:
    answers = running.on_nodes("systemctl list-units --failed --no-legend --plain")
    assert {host: out.strip() for host, out in answers.items() if out.strip()} == {}


def test_the_hub_sees_every_stream_with_one_release(running: RunningFleet) -> None:
    nodes = running.streams()
    assert set(nodes) == set(running.nodes)
    assert all(node["connected"] for node in nodes.values())
    assert len({node["watcher_version"] for node in nodes.values()}) == 1


def test_every_agent_is_woken_on_its_own_host_and_nowhere_else(running: RunningFleet) -> None:
    outcomes = rollcall.call(running.up)
    assert [f"{o.letter.recipient} {o.trouble}" for o in outcomes if o.trouble] == []


def test_a_link_signs_in_at_this_machines_address(running: RunningFleet) -> None:
    """`make open`, until Ctrl-C."""
    words = [sys.executable, "-m", "lab.probe.page", "--name", running.up.name]
    forwarding = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert forwarding.stdout is not None
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = forwarding.stdout.readline()
            assert line, said
            said += line
        link = re.search(r"(https?://127[.]0[.]0[.]1:\d+)/login[?]link=(\S+)", said)
        assert link, said
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # the hub's has other names
        browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=tls),
            urllib.request.HTTPCookieProcessor(),
        )
        door = browser.open(link[0]).read().decode()
        assert f'value="{link[2]}"' in door
        form = urllib.parse.urlencode({"token": link[2]}).encode()
        page = browser.open(f"{link[1]}/login", form).read().decode()
        assert all(host in page for host in running.nodes)
    finally:
        forwarding.send_signal(signal.SIGINT)
        said, _ = forwarding.communicate()
    assert (forwarding.returncode, "no longer forwarded" in said) == (0, True)


def test_the_hubs_unit_exposes_every_figure_that_is_promised(running: RunningFleet) -> None:
    """The unit hides much of the system: what a hub in the open exports proves nothing for it.

    A hub alone on SQLite has no figures of several hubs; one without webhooks or channels has none
    of these.
    """
    text = running.metrics()
    families = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    with_value = set(re.findall(r"^(\w+)(?:\{[^}]*\})? \S+$", text, re.MULTILINE))
    page = (ROOT / "docs/reference/metrics.md").read_text()
    rules = (ROOT / "files/monitoring/agent-bus.rules.yml").read_text()
    dashboard = (ROOT / "files/monitoring/grafana-dashboard.json").read_text()
    described = {name for name in NAME.findall(page) if not name.endswith("_")}
    asked = set(NAME.findall(rules)) | set(NAME.findall(dashboard))
    assert len(described) > 30
    assert len(asked) > 20
    if len(running.up.inventory.hub) == 1:
        begin, end = page.index("Figures of several hubs"), page.index("Figures of webhooks")
        of_hubs = set(NAME.findall(page[begin:end]))
        page = page[:begin] + page[end:]
        assert of_hubs & families == set()
        described, asked = described - of_hubs, asked - of_hubs
    for first, then in (("webhooks", "channels"), ("channels", "the process")):
        section = page[page.index(f"Figures of {first}") : page.index(f"Figures of {then}")]
        outward = set(NAME.findall(section))
        if outward.isdisjoint(families):
            described, asked = described - outward, asked - outward
    missing = [n for n in described | asked if not {n, PART.sub("", n)} & families]
    assert missing == []
    # A figure without labels always has a value; one with labels may have nothing to tell of.
    plain = [
        name for name, kind, labels in ROW.findall(page) if kind != "histogram" and not labels
    ]
    plain += [name for name in described if name.startswith("process_")]
    assert "process_start_time_seconds" in plain
    assert [name for name in plain if name not in with_value] == []
