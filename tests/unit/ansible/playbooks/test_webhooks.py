"""What the playbooks do for webhooks: secrets on the control node, files for the hub."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import yaml

from agent_bus import webhook_settings
from lab.paths import ROOT
from tests.support.plays import play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.plays import Done

OPS: dict[str, Any] = {"name": "ops", "url": "https://ops.example.com/", "fleet": True}
OWN: dict[str, Any] = {**OPS, "name": "own"}


def run(
    folder: Path, webhooks: list[dict[str, Any]], tasks: list[dict[str, Any]], **more: Any
) -> Done:
    """Run tasks for a fleet whose hub has these webhooks."""
    variables = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "agent_bus_secrets_dir": str(folder / "secrets"),
        "message_bus_webhooks": webhooks,
    }
    fleet = {
        "all": {"vars": variables},
        "hub": {"hosts": {"box": {}}},
        "nodes": {"hosts": {"mini": {"agents": ["ada"]}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(fleet))
    done = play(
        tasks, folder, hosts="hub:nodes", inventory=[str(folder / "hosts.yml")], variables=more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def role(name: str, part: str) -> dict[str, Any]:
    return {"ansible.builtin.import_role": {"name": name, "tasks_from": part}}


def secrets(folder: Path) -> dict[str, str]:
    """The texts of the files with secrets of webhooks."""
    files = sorted((folder / "secrets" / "webhooks").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} <= {0o600}
    return {file.name: file.read_text().strip() for file in files}


def test_each_webhook_gets_a_secret_once_and_keeps_the_old_one_in_a_rotation(
    tmp_path: Path,
) -> None:
    run(tmp_path, [OPS], [role("fleet", "tokens")])
    first = secrets(tmp_path)
    assert set(first) == {"ops.token"}
    key = base64.b64decode(first["ops.token"].removeprefix("whsec_"))
    assert len(key) in webhook_settings.SECRET_BYTES
    again = run(tmp_path, [OPS, OWN], [role("fleet", "tokens")])
    second = secrets(tmp_path)
    assert set(second) == {"ops.token", "own.token"}
    assert second["ops.token"] == first["ops.token"]
    assert not any(secret in again.stdout for secret in second.values())
    run(tmp_path, [OPS, OWN], [role("fleet", "rotate_tokens")])
    assert secrets(tmp_path) == second
    for _ in range(2):  # one that is not finished yet is not begun again
        run(tmp_path, [OPS, OWN], [role("fleet", "rotate_tokens")], rotate_webhooks=True)
        turned = secrets(tmp_path)
        assert turned["ops.token.old"] == second["ops.token"]
        assert turned["ops.token"] != second["ops.token"]


def test_the_hub_gets_files_that_it_takes(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    webhooks = [OPS, {**OWN, "ca_file": str(authority)}]
    run(tmp_path, webhooks, [role("fleet", "tokens")])
    known = secrets(tmp_path)
    (tmp_path / "secrets" / "webhooks" / "ops.token.old").write_text("whsec_" + "YWJj" * 8 + "\n")
    shown = {
        "files": "{{ message_bus_webhook_files + message_bus_webhook_ca_files }}",
        "secrets": "{{ message_bus_webhook_secret_files }}",
        "settings": "{{ message_bus_hub_settings }}",
        "started_with": "{{ message_bus_webhooks_started_with }}",
    }
    made = ROOT / "roles" / "message_bus"
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.include_vars": str(made / "defaults" / "main.yml")},
        {"ansible.builtin.include_vars": str(made / "vars" / "main.yml")},
        {
            "ansible.builtin.copy": {
                "content": "{{ shown | to_json }}",
                "dest": str(tmp_path / "shown.json"),
                "mode": "0600",
            },
            "vars": {"shown": shown},
            "run_once": True,
        },
    ]
    run(
        tmp_path,
        webhooks,
        tasks,
        role_path=str(made),
        message_bus_webhooks=webhooks,
        message_bus_built={"release": "1"},
    )
    found = json.loads((tmp_path / "shown.json").read_text())
    assert found["settings"]["webhooks_file"] == "/etc/agent-bus/webhooks.json"
    file, ca = found["files"]
    assert (ca["path"], ca["content"]) == (
        "/etc/agent-bus/webhook-own-ca.crt",
        authority.read_text(),
    )
    (secret,) = found["secrets"]
    assert (secret["mode"], secret["secret"]) == ("0600", True)
    assert known["ops.token"] in found["started_with"]
    content = json.loads(secret["content"])
    assert content == {
        "ops": [known["ops.token"], "whsec_" + "YWJj" * 8],
        "own": [known["own.token"]],
    }
    document = json.loads(file["content"])
    (tmp_path / "secrets.json").write_text(secret["content"])
    (tmp_path / "w").write_text(
        json.dumps({**document, "secrets_file": str(tmp_path / "secrets.json")})
    )
    signed = webhook_settings.load_signed(tmp_path / "w")
    assert [(one.webhook.name, len(one.secrets)) for one in signed] == [("ops", 2), ("own", 1)]
