"""The checks of an inventory, as playbooks/preflight.yml puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from filter_plugins.inventory_places import inventory_places, role_variables
from roles.preflight.filter_plugins.preflight import preflight_errors
from roles.preflight.filter_plugins.preflight_budgets import budget_findings
from roles.preflight.filter_plugins.preflight_escalation import escalation_findings
from roles.preflight.filter_plugins.preflight_guests import guest_findings
from roles.preflight.filter_plugins.preflight_rights import rights_findings
from roles.preflight.filter_plugins.preflight_values import value_findings

ROOT = Path(__file__).resolve().parents[4]


def groups_and_variables(text: str) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """Read a flat YAML inventory as Ansible would: groups, and each host's merged variables."""
    groups: dict[str, list[str]] = {"all": []}
    hostvars: dict[str, dict[str, Any]] = {}
    tree = yaml.safe_load(text)
    common = (tree.pop("all", None) or {}).get("vars", {})
    for group, entry in tree.items():
        groups[group] = list(entry["hosts"])
        for host, variables in entry["hosts"].items():
            hostvars.setdefault(host, dict(common)).update(variables or {})
    groups["all"] = list(hostvars)
    return groups, hostvars


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function: inventory text -> errors, with places relative to the folder."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *, core: str = "2.19.14") -> list[str]:
        (tmp_path / "hosts.yml").write_text(text)
        groups, hostvars = groups_and_variables(text)
        places = inventory_places(["hosts.yml"])
        specs = role_variables(str(ROOT / "roles"))
        return preflight_errors(
            places,
            hostvars=hostvars,
            groups=groups,
            sources=["hosts.yml"],
            role_variables=specs,
            core_version=core,
            findings=value_findings(
                places, hostvars=hostvars, groups=groups, specs=specs, secrets="secrets"
            )
            + guest_findings(groups, hostvars)
            + rights_findings(groups, hostvars)
            + budget_findings(groups, hostvars)
            + escalation_findings(groups, hostvars),
        )

    return run
