"""Alert rules through promtool, and names of metrics against what a hub really exports."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agent_bus import alerts, errors
from tests.support.hub import ADMIN, REPOSITORY, running

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = REPOSITORY / "files/monitoring"
RULES = FOLDER / "agent-bus.rules.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
CACHE = REPOSITORY / ".cache/prometheus"
NAME = re.compile(r"\b(?:agent_bus|process)_[a-z0-9_]+")
UNIT_S = {"s": 1, "m": 60, "h": 3600}


@pytest.fixture(scope="session")
def promtool() -> str:
    """Debian's promtool: installed, or taken out of its package without installing a service."""
    found = shutil.which("promtool")
    if found:
        return found
    program = CACHE / "usr/bin/promtool"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for command in (
            ["apt-get", "download", "-qq", "prometheus"],
            ["sh", "-c", "dpkg -x prometheus_*.deb ."],
        ):
            done = subprocess.run(
                command, cwd=CACHE, capture_output=True, text=True, timeout=120, check=False
            )
            if done.returncode != 0:
                pytest.fail(
                    f"promtool is missing and {command[0]} could not get Debian's prometheus "
                    f"(try `apt-get update`, or install prometheus): {done.stderr.strip()}"
                )
    return str(program)


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def seconds(text: str) -> float:
    return float(text[:-1]) * UNIT_S[text[-1]]


def expressions() -> list[str]:
    """All PromQL of the rules and of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in rules().values()] + [
        target["expr"] for panel in panels for target in panel.get("targets", ())
    ]


def test_promtool_accepts_the_rules_and_they_fire_as_they_should(
    promtool: str, tmp_path: Path
) -> None:
    shutil.copy(RULES, tmp_path)
    shutil.copy(REPOSITORY / "tests/monitoring/rules.test.yml", tmp_path)
    for command in (
        ["check", "rules", "agent-bus.rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ):
        done = subprocess.run(
            [promtool, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_and_prometheus_have_the_same_alerts() -> None:
    theirs = rules()
    assert theirs.pop("AgentBusDown"), "the page of a hub that is down shows nothing"
    assert set(theirs) == set(alerts.RULES)
    for name, rule in alerts.RULES.items():
        assert seconds(theirs[name].get("for", "0s")) == rule.for_s, name
        assert theirs[name]["labels"]["severity"] == rule.severity, name
        assert theirs[name]["annotations"]["description"] == rule.advice, name
    for name, bound in (
        ("AgentBusMailUnread", alerts.UNREAD_S),
        ("AgentBusCommitSlow", alerts.COMMIT_S),
        ("AgentBusWalLarge", alerts.WAL_BYTES),
        ("AgentBusStreamBehind", alerts.QUEUE_EVENTS),
        ("AgentBusTokensRefused", alerts.REFUSED),
    ):
        assert float(theirs[name]["expr"].rpartition(">")[2]) == bound, name


def test_every_metric_asked_for_is_exported(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN}"})
        text = connection.getresponse().read().decode()
        connection.close()
    exported = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)", text, re.MULTILINE):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        exported |= {f"{name}{suffix}" for suffix in suffixes}
    asked = {name for expr in expressions() for name in NAME.findall(expr)}
    assert len(asked) > 12
    assert asked <= exported, asked - exported
    for code in ("disk_full", "unauthenticated", "auth_throttled"):
        assert f'agent_bus_requests_rejected_total{{code="{code}"}}' in text


def test_every_code_asked_for_exists() -> None:
    codes = {one.code for one in errors.BusError.__subclasses__()}
    for expr in expressions():
        for words in re.findall(r'code=~?"([^"]+)"', expr):
            assert set(words.split("|")) <= codes


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
