"""The generated pages of the reference are what the code says now."""

from __future__ import annotations

import subprocess
import sys

from agent_bus import admin, settings
from agent_bus.api.models import events
from tests.support.hub import REPOSITORY

REFERENCE = REPOSITORY / "docs/reference"


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs/generate_hub.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_setting_is_described() -> None:
    for name, field in settings.Settings.model_fields.items():
        assert field.description, name


def test_the_api_page_has_every_event_type_with_its_fields() -> None:
    page = (REFERENCE / "api.md").read_text()
    for name, model in events.EVENTS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} ")]
        for field in model.model_fields:
            assert field == "to_agent" or field in row, (name, field)


def test_the_admin_tools_page_has_every_verb() -> None:
    page = (REFERENCE / "agent-bus-admin.md").read_text()
    for verb in admin.verbs():
        assert f"### {verb}" in page
