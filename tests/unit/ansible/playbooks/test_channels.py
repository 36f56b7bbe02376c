"""What the playbooks make of the operator's channels: one secret file, which the hub takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from agent_bus import channel_settings
from lab.paths import ROOT
from tests.support.plays import play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.plays import Done

MADE = ROOT / "roles" / "message_bus"
DESK: dict[str, Any] = {"name": "desk", "url": "https://desk.example.com/", "allow_private": True}


def run(folder: Path, channels: list[dict[str, Any]], *tasks: dict[str, Any], **more: Any) -> Done:
    """Run tasks for a fleet with these channels."""
    variables = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "agent_bus_secrets_dir": str(folder / "secrets"),
        "operator_channels": channels,
    }
    fleet = {
        "all": {"vars": variables},
        "hub": {"hosts": {"box": {}}},
        "nodes": {"hosts": {"mini": {"agents": ["ada"]}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(fleet))
    return play(
        list(tasks), folder, hosts="hub", inventory=[str(folder / "hosts.yml")], variables=more
    )


def role(name: str, part: str) -> dict[str, Any]:
    return {"ansible.builtin.import_role": {"name": name, "tasks_from": part}}


def shown(folder: Path, channels: list[dict[str, Any]]) -> dict[str, Any]:
    """What the role makes of channels."""
    told = {
        "files": "{{ message_bus_channel_files + message_bus_channel_ca_files }}",
        "settings": "{{ message_bus_hub_settings }}",
        "started_with": "{{ message_bus_channels_started_with }}",
        "unit": "{{ message_bus_unit }}",
    }
    done = run(
        folder,
        channels,
        {"ansible.builtin.include_vars": str(MADE / "defaults" / "main.yml")},
        {"ansible.builtin.include_vars": str(MADE / "vars" / "main.yml")},
        {
            "ansible.builtin.copy": {
                "content": "{{ told | to_json }}",
                "dest": str(folder / "shown.json"),
                "mode": "0600",
            },
            "vars": {"told": told},
        },
        role_path=str(MADE),
        message_bus_built={"release": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "shown.json").read_text())
    return found


def test_the_hub_takes_the_file_that_is_made_of_channels(tmp_path: Path) -> None:
    url = tmp_path / "phone.url"
    url.write_text("ntfys://tk_geheim@ntfy.example.com/topic\n")
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    phone = {
        "name": "phone",
        "url_file": str(url),
        "timezone": "Europe/Berlin",
        "quiet_hours": {"from": "22:00", "to": "07:00", "except": ["urgent"]},
        "digest": {"every_min": 60},
    }
    channels = [phone, {**DESK, "ca_file": str(authority)}]
    assert run(tmp_path, channels, role("fleet", "tokens")).returncode == 0
    token = tmp_path / "secrets" / "webhooks" / "channel.desk.token"
    assert [one.name for one in token.parent.iterdir()] == [token.name]
    found = shown(tmp_path, channels)
    file, ca = found["files"]
    assert (file["mode"], file["secret"]) == ("0600", True)
    assert ca["path"] == "/etc/agent-bus/webhook-channel.desk-ca.crt"
    assert "check-channels" in file["validate"]
    assert found["settings"]["channels_file"] == "/run/credentials/agent-bus.service/channels"
    assert found["settings"]["page_url"] == "http://box:8091"
    assert "LoadCredential=channels:/etc/agent-bus/secrets/channels.json" in found["unit"]
    assert token.read_text().strip() in found["started_with"]
    (tmp_path / "channels.json").write_text(file["content"])
    loaded, desk = channel_settings.load(tmp_path / "channels.json")
    assert loaded.url == "ntfys://tk_geheim@ntfy.example.com/topic"
    assert loaded.times.quiet is not None
    assert desk.signed.webhook.allow_private


def test_without_channels_nothing_of_them_is_there(tmp_path: Path) -> None:
    found = shown(tmp_path, [])
    assert "channels_file" not in found["settings"]
    assert "page_url" not in found["settings"]
    assert "channels" not in found["unit"]
    assert found["started_with"] == ""
