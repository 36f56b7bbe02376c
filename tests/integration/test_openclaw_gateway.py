from __future__ import annotations

import getpass
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STANDIN = ROOT / "lab" / "gateway_standin"
TOKEN = "t" * 43
MAPPING = {
    "id": "agent-bus-alpha",
    "match": {"path": "agent-bus/alpha"},
    "action": "agent",
    "agentId": "alpha",
    "name": "agent-bus",
    "deliver": False,
    "sessionKey": "hook:agent-bus",
    "allowUnsafeExternalContent": True,
    "messageTemplate": "agent-bus: unread messages for alpha. Run: agent-bus inbox --as alpha",
}


class Node:
    """A user's OpenClaw: the stand-in's command and gateway, with a state folder of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.config = folder / "openclaw.json"
        self.skill = folder / "skills" / "agent-bus" / "SKILL.md"
        self._url = url
        # the module runs it in a clean environment
        self.command = folder / "openclaw"
        self.called = folder / "called"
        program = f'exec {sys.executable} {STANDIN}/openclaw "$@"'
        note = (
            f'echo "$@" >>{self.called}; env >>{self.called}\n'
            f'[ "$2" != patch ] || stat -c "patch file %a" "$4" >>{self.called}\n'
        )
        self.command.write_text(
            f"#!/bin/sh\nexport OPENCLAW_STATE_DIR={folder}\n{note}{program}\n"
        )
        self.command.chmod(0o755)

    def write(self, settings: dict[str, Any]) -> None:
        self.config.write_text(json.dumps(settings))

    @property
    def hooks(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.config.read_text())["hooks"]
        return found

    def run(self, *, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {
            "user": getpass.getuser(),
            "agents": ["alpha"],
            "token": TOKEN,
            "url": self._url,
            "command": str(self.command),
            "state_dir": str(self.config.parent),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **more,
        }
        answer = answer_of("openclaw_gateway", arguments)
        assert TOKEN not in json.dumps(answer)
        return answer


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node whose gateway accepts the bus's token once its settings have it."""
    config = tmp_path / "openclaw.json"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hooks = json.loads(config.read_text()).get("hooks", {}) if config.exists() else {}
            right = self.headers["Authorization"] == f"Bearer {hooks.get('token')}"
            there = hooks.get("enabled") and self.path == f"{hooks.get('path', '/hooks')}/wake"
            self.send_response((400 if right else 401) if there else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Node(tmp_path, f"http://127.0.0.1:{server.server_port}")
        made.write({"agents": {"entries": {"alpha": {}}}})
        yield made
        server.shutdown()


def test_hooks_are_set_up_once(node: Node) -> None:
    first = node.run()
    assert first["changed"]
    assert first["notes"] == []
    assert node.hooks == {
        "enabled": True,
        "token": TOKEN,
        "path": "/hooks",
        "allowedAgentIds": ["alpha"],
        "mappings": [MAPPING],
    }
    stamp = node.config.stat().st_mtime_ns
    assert not node.run()["changed"]
    assert node.config.stat().st_mtime_ns == stamp


def test_the_token_goes_by_a_file_for_its_user_alone_and_the_settings_are_validated(
    node: Node,
) -> None:
    node.run()
    called = node.called.read_text()
    assert TOKEN not in called  # neither in a command line nor in an environment
    assert "patch file 600" in called
    assert called.index("config patch") < called.index("config validate --json")
    assert node.config.stat().st_mode & 0o777 == 0o600


def test_settings_that_openclaw_does_not_take_are_an_error_in_its_own_words(node: Node) -> None:
    node.command.write_text(
        "#!/bin/sh\n"
        'case "$2" in patch) echo "hooks.token: too short" >&2; exit 1;; esac\n'
        "echo 2026.9.6\n"
    )
    answer = node.run()
    assert answer["failed"]
    assert "hooks.token: too short" in answer["msg"]


def test_a_check_run_changes_nothing_and_shows_no_token(node: Node) -> None:
    before = node.config.read_bytes()
    answer = node.run(check=True, skill="text")
    assert answer["changed"]
    assert "(secret)" in json.dumps(answer["diff"])
    assert node.config.read_bytes() == before
    assert not node.skill.exists()


def test_settings_of_the_operator_stay(node: Node) -> None:
    mine = {"id": "mail", "match": {"path": "mail"}, "agentId": "reader", "messageTemplate": "x"}
    node.write(
        {"gateway": {"port": 1}, "hooks": {"defaultSessionKey": "hook:mine", "mappings": [mine]}}
    )
    node.run()
    assert json.loads(node.config.read_text())["gateway"] == {"port": 1}
    assert node.hooks["defaultSessionKey"] == "hook:mine"
    assert node.hooks["mappings"] == [MAPPING, mine]
    assert node.hooks["allowedAgentIds"] == ["alpha", "reader"]


def test_an_agent_that_is_gone_is_gone_from_the_hooks_and_others_stay(node: Node) -> None:
    node.run(agents=["alpha", "beta"])
    hooks = node.hooks
    node.write({"hooks": {**hooks, "allowedAgentIds": [*hooks["allowedAgentIds"], "mine"]}})
    assert node.run()["changed"]
    assert node.hooks["allowedAgentIds"] == ["alpha", "mine"]
    assert [entry["agentId"] for entry in node.hooks["mappings"]] == ["alpha"]


def test_the_session_key_is_added_to_an_operators_list(node: Node) -> None:
    node.write({"hooks": {"allowedSessionKeyPrefixes": ["hook:gmail:"]}})
    node.run()
    assert node.hooks["allowedSessionKeyPrefixes"] == ["hook:gmail:", "hook:agent-bus"]
    node.write({"hooks": {"allowedSessionKeyPrefixes": ["hook:"]}})
    node.run()
    assert node.hooks["allowedSessionKeyPrefixes"] == ["hook:"]


def test_a_token_that_something_else_sends_is_replaced_only_on_request(node: Node) -> None:
    node.write({"hooks": {"enabled": True, "token": "theirs"}})
    answer = node.run()
    assert not answer["changed"]
    assert "something else sends" in answer["notes"][0]
    assert node.hooks["token"] == "theirs"
    assert node.run(take_over=True)["changed"]
    assert node.hooks["token"] == TOKEN


def test_a_new_token_of_the_bus_replaces_its_old_one(node: Node) -> None:
    node.run()
    assert node.run(token="u" * 43)["changed"]
    assert node.hooks["token"] == "u" * 43


def test_another_path_is_kept_and_told_to_the_watcher(node: Node) -> None:
    node.write({"agents": {"entries": {"alpha": {}}}, "hooks": {"path": "/in"}})
    answer = node.run()
    assert answer["watcher_settings"]["hooks_path"] == "/in"
    assert answer["notes"] == []


def test_an_older_gateway_is_woken_by_runs(node: Node) -> None:
    (node.config.parent / "standin.json").write_text('{"older": true}')
    answer = node.run()
    assert answer["version"] == "2026.3.13"
    assert answer["watcher_settings"]["hook_mode"] == "agent"
    assert "older than 2026.8.1" in answer["notes"][0]


def test_without_openclaw_it_says_what_to_run(node: Node) -> None:
    node.command.unlink()
    answer = node.run(skill="text")
    assert not answer["changed"]
    assert not answer["installed"]
    assert "npm install --global openclaw" in answer["notes"][0]
    assert not node.skill.exists()


def test_a_command_that_does_nothing_and_ends_well_is_not_believed(node: Node) -> None:
    node.command.write_text("#!/bin/sh\necho This account is currently not available.\n")
    answer = node.run()
    assert not answer["changed"]
    assert "currently not available" in answer["notes"][0]
    node.command.write_text("#!/bin/sh\necho OpenClaw 2026.9.6\n")
    answer = node.run()
    assert answer["failed"]
    assert "does not have hooks.allowedAgentIds, hooks.enabled" in answer["msg"]
    assert "openclaw_bus_state_dir" in answer["msg"]


def test_hooks_that_are_not_to_be_managed_are_only_compared(node: Node) -> None:
    answer = node.run(manage=False)
    assert not answer["changed"]
    assert "enabled" in answer["notes"][0]


def test_a_settings_file_with_comments_is_left_alone(node: Node) -> None:
    text = '{\n  // mine\n  "hooks": {}\n}\n'
    node.config.write_text(text)
    answer = node.run(url="http://127.0.0.1:1")
    assert "comments" in answer["notes"][0]
    assert node.config.read_text() == text


def test_an_agent_that_the_gateway_does_not_have_is_named(node: Node) -> None:
    answer = node.run(agents=["alpha", "ghost"])
    assert "no agent ghost" in answer["notes"][0]


def test_a_gateway_that_does_not_run_gets_its_settings(node: Node) -> None:
    answer = node.run(url="http://127.0.0.1:1")
    assert answer["changed"]
    assert "start OpenClaw" in answer["notes"][0]
    assert node.hooks["enabled"]


def test_without_agents_of_its_own_the_gateway_is_left_alone(node: Node) -> None:
    assert not node.run(agents=[])["changed"]


def test_the_skill_is_placed_and_renewed(node: Node) -> None:
    node.run()
    assert node.run(skill="one\n")["changed"]
    assert not node.run(skill="one\n")["changed"]
    assert node.run(skill="two\n")["changed"]
    assert node.skill.read_text() == "two\n"
    assert not node.run()["changed"]
    assert node.skill.exists()


def test_an_unknown_user_is_an_error_that_names_the_variable(node: Node) -> None:
    answer = node.run(user="nobody-of-that-name")
    assert answer["failed"]
    assert "openclaw_user" in answer["msg"]
