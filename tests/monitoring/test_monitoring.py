"""Alert rules and scrape configuration through promtool, the dashboard through Grafana's model,
and all names of metrics and labels against what a hub really exports.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from agent_bus.core import alerts, errors
from tests.api.test_metrics import scrape
from tests.support import postgres
from tests.support.certificates import Authority
from tests.support.database_host import database_host, member
from tests.support.hub import ADMIN, REPOSITORY, digest, running
from tests.support.hubs import hubs_on
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port
from tests.support.receiver import Receiver, configured
from tests.support.services import channels_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = REPOSITORY / "files/monitoring"
RULES = FOLDER / "agent-bus.rules.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
CACHE = REPOSITORY / ".cache/prometheus"
NAME = re.compile(r"\b(?:agent_bus|process)_[a-z0-9_]+")
SAMPLE = re.compile(r"^(\w+)(\{(.*)\})? \S+$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="')
UNIT_S = {"s": 1, "m": 60, "h": 3600}


@pytest.fixture(scope="session")
def promtool() -> str:
    """Debian's promtool: installed, or taken out of its package without installing a service."""
    found = shutil.which("promtool")
    if found:
        return found
    program = CACHE / "usr/bin/promtool"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # workers of one run need it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            fetch_promtool()
    return str(program)


def fetch_promtool() -> None:
    fetch = "apt-get download -qq prometheus"
    script = f"{fetch} || {{ apt-get update -qq && {fetch}; }} && dpkg -x prometheus_*.deb ."
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=CACHE, capture_output=True, text=True, timeout=patience(300), check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(
            f"promtool is missing and apt-get could not get Debian's prometheus: "
            f"{done.stderr.strip()}"
        )


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def seconds(text: str) -> float:
    return float(text[:-1]) * UNIT_S[text[-1]]


def expressions() -> list[tuple[str, str]]:
    """All PromQL of the rules and of the dashboard, each with the legend or words about it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    told = [
        (rule["expr"], " ".join(rule["annotations"].values()).replace("$labels.", ""))
        for rule in rules().values()
    ]
    return [(expr, re.sub(r"\{\{[^}]*\$[^}]*\}\}", "", words)) for expr, words in told] + [
        (target["expr"], target.get("legendFormat", ""))
        for panel in panels
        for target in panel.get("targets", ())
    ]


def exported(folder: Path) -> str:
    """What a hub exports that has seen a message through every hop, and a refusal."""
    authority = Authority(folder / "tls")
    hook = configured(folder, Receiver(port=free_port()))
    told = channels_file(folder, {"name": "phone", "url": "ntfy://127.0.0.1:9/x"})
    tells = {"webhooks_file": hook, "channels_file": told}
    with running(folder, tls_ca_file=str(authority.ca_file), **tells) as hub:
        two = [digest("token-n1"), digest("the next one")]
        tokens = [{"node": n, "sha256": [digest(f"token-{n}")]} for n in ("n2", "n3")]
        hub.enrol(tokens=[{"node": "n1", "sha256": two}, *tokens])
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        hub.client(None).post("/api/agents/delta/wake", {})
        stream.of_type("wake")  # past the backlog: what is pushed from now on is timed
        sent = hub.client("n2").send(to="delta")
        seq = stream.of_type("message").data["seq"]
        reports = [
            {"agent": "delta", "event": event, "up_to_seq": seq, "duration_ms": 3}
            for event in ("received", "accepted")
        ]
        hub.client("n3").post("/api/wakes", {"reports": reports})
        hub.client("n3").get("/api/inbox")
        hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN}"})
        text = connection.getresponse().read().decode()
        connection.close()
    return text + exported_by_hubs(folder)


def exported_by_hubs(folder: Path) -> str:
    """What one of two hubs exports besides, with a played Patroni and etcd on its host."""
    said = [member("hub0", "leader"), member("hub1")]
    with (
        database_host(members=said) as played,
        hubs_on(
            [postgres.database(folder)] * 2,
            folder,
            hubs=[{"name": one["name"], "url": "http://hub:8091"} for one in said],
            **played.settings,
        ) as hubs,
    ):
        wait_until(lambda: "agent_bus_database_lag_bytes{" in scrape(hubs[0])[1], "its first look")
        return scrape(hubs[0])[1]


def labels_of(text: str) -> dict[str, set[str]]:
    """Each exported name with the labels that its samples have."""
    found: dict[str, set[str]] = {}
    for name, _, inner in SAMPLE.findall(text):
        found.setdefault(name, set()).update(LABEL.findall(inner))
    return found


def unknown(exprs: list[tuple[str, str]], text: str) -> list[str]:
    """Names of metrics and labels in (PromQL, legend) pairs that nothing exports."""
    there = labels_of(text)
    wrong = []
    for expr, legend in exprs:
        names = NAME.findall(expr)
        wrong += [name for name in names if name not in there]
        known = {"job", "instance"}.union(*(there.get(name, set()) for name in names))
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expr))
        for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expr):
            asked |= {one.strip() for one in group.split(",")}
        asked |= set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))
        wrong += [f"{label} of {names}" for label in sorted(asked - known)]
    return wrong


def ran(promtool: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=patience(),
        check=False,
    )


def test_promtool_accepts_the_rules_and_they_fire_as_they_should(
    promtool: str, tmp_path: Path
) -> None:
    shutil.copy(RULES, tmp_path)
    shutil.copy(REPOSITORY / "tests/monitoring/rules.test.yml", tmp_path)
    for command in (
        ["check", "rules", "agent-bus.rules.yml"],
        ["test", "rules", "rules.test.yml"],
    ):
        done = ran(promtool, tmp_path, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_seen_to_fire_and_to_keep_quiet() -> None:
    text = (REPOSITORY / "tests/monitoring/rules.test.yml").read_text()
    calm, *_ = yaml.safe_load(text)["tests"]
    assert {test["alertname"] for test in calm["alert_rule_test"]} == set(rules())
    for name in rules():
        assert f'alertname="{name}"' in text or f"alertname: {name}\n" in text, name


def test_the_scrape_configuration_of_the_page_is_accepted(promtool: str, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/how-to/monitor.md").read_text()
    found = [
        block
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        if "scrape_configs" in block
    ]
    assert found
    token = tmp_path / "agent-bus.token"
    token.write_text("a token")
    shutil.copy(RULES, tmp_path)
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.yml"
        path.write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"))
        done = ran(promtool, tmp_path, "check", "config", path.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 rule files found" in done.stdout + done.stderr
        (job,) = yaml.safe_load(path.read_text())["scrape_configs"]
        assert job["job_name"] == re.findall(r'job="([^"]+)"', rules()["AgentBusDown"]["expr"])[0]
        assert job["authorization"]["credentials_file"] == str(token)
        path.write_text(path.read_text().replace("credentials_file", "credential_file"))
        assert ran(promtool, tmp_path, "check", "config", path.name).returncode != 0


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
        ("AgentBusCertificateExpiring", alerts.CERTIFICATE_S),
        ("AgentBusCertificateLastDays", alerts.CERTIFICATE_LAST_S),
        ("AgentBusDiskLow", alerts.DISK_BYTES),
        ("AgentBusTokensInRotation", alerts.ROTATION_S),
        ("AgentBusBackupOld", alerts.BACKUP_S),
        ("AgentBusArchiveBehind", alerts.ARCHIVE_S),
        ("AgentBusNoPrimary", alerts.NO_PRIMARY_S),
        ("AgentBusReplicaBehind", alerts.LAG_BYTES),
        ("AgentBusEtcdFull", alerts.ETCD_USED),
    ):
        assert float(re.split("[<>]", theirs[name]["expr"])[-1]) == bound, name
    assert f"{alerts.DISK_FULL_S})" in theirs["AgentBusDiskFilling"]["expr"]


def test_every_runbook_is_a_part_of_the_page() -> None:
    named = {
        name: rule["annotations"]["runbook"]
        for name, rule in rules().items()
        if "runbook" in rule["annotations"]
    }
    assert len(named) == 9, "those of several hubs"
    for name, place in named.items():
        path, _, anchor = place.partition("#")
        headings = re.findall(r"^#+ (.+)$", (REPOSITORY / path).read_text(), re.MULTILINE)
        assert anchor in {one.lower().replace(" ", "-") for one in headings}, name


def test_every_metric_and_label_asked_for_is_exported(tmp_path: Path) -> None:
    text = exported(tmp_path)
    asked = expressions()
    assert len({name for expr, _ in asked for name in NAME.findall(expr)}) > 12
    assert unknown(asked, text) == []
    for code in ("disk_full", "unauthenticated", "auth_throttled"):
        assert f'agent_bus_requests_rejected_total{{code="{code}"}}' in text
    # and a name that is changed on the hub is noticed, whichever it is
    for name in sorted({name for expr, _ in asked for name in NAME.findall(expr)}):
        renamed = re.sub(rf"^{name}\b", f"{name}_renamed", text, flags=re.MULTILINE)
        assert name in unknown(asked, renamed)
    for label in ("hop", "part", "status", "node", "agent", "code", "certificate"):
        assert unknown(asked, text.replace(f"{label}=", "renamed=")), label


def test_every_code_asked_for_exists() -> None:
    codes = {one.code for one in errors.BusError.__subclasses__()}
    for expr, _ in expressions():
        for words in re.findall(r'code=~?"([^"]+)"', expr):
            assert set(words.split("|")) <= codes


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where one JSON document has what another has not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if value is not None:
                yield from lost(value, theirs.get(key), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(*pair, f"{path}/{number}")
    elif ours != theirs:
        yield path


def through_grafana(dashboard: dict[str, Any]) -> list[str]:
    """What Grafana's own model of a dashboard does not know of ours."""
    register_default_plugins()
    model = Dashboard.from_json(json.loads(json.dumps(dashboard)))
    return list(lost(dashboard, json.loads(JSONEncoder().encode(model))))


def test_grafanas_own_model_knows_all_that_the_dashboard_says() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert through_grafana(dashboard) == []
    panel = next(one for one in dashboard["panels"] if one["type"] == "timeseries")
    panel["options"]["legned"] = panel["options"].pop("legend")
    panel["targets"][0]["exprr"] = panel["targets"][0].pop("expr")
    number = dashboard["panels"].index(panel)
    assert through_grafana(dashboard) == [
        f"/panels/{number}/options/legned",
        f"/panels/{number}/targets/0/exprr",
    ]


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        assert {target["refId"] for target in panel["targets"]} == set(
            "ABC"[: len(panel["targets"])]
        )
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie over each other"
    assert dashboard["uid"] == "agent-bus"
    (source,) = dashboard["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
