from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client import settings
from agent_bus_client.agents import Agent
from agent_bus_client.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

TURNS = {"name": "a", "waker": "claude-code", "user": "coder", "folder": "/home/coder/x"}
GOOD: dict[str, Any] = {
    "node": "nuc-01",
    "hub_url": "http://t440:8091",
    "agents": [
        {"name": "alpha", "waker": "hook"},
        {"name": "beta", "waker": "command", "command": ["x", "{agent}"]},
        {"name": "gamma"},
    ],
}


def problems(**changes: object) -> list[str]:
    found: list[str] = []
    settings.parse({**GOOD, **changes}, found)
    return found


def test_a_good_file_is_read_with_defaults(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps(GOOD))
    loaded = settings.load(path)
    assert loaded.agent_names == ("alpha", "beta", "gamma")
    assert loaded.agents[1].command == ("x", "{agent}")
    assert loaded.gateway_url == "http://127.0.0.1:18789"
    assert loaded.wake_min_interval_s == 12.0


def test_several_hubs_may_stand_beside_one_or_alone() -> None:
    both = ["http://nuc:8091", "http://t440:8091"]
    found: list[str] = []
    one, several = settings.parse(GOOD, found), settings.parse({**GOOD, "hub_urls": both}, found)
    alone = settings.parse({"node": "n", "hub_urls": both, "agents": [{"name": "alpha"}]}, found)
    assert not found
    assert one
    assert several
    assert alone
    assert one.hubs == ("http://t440:8091",)
    assert several.hubs == alone.hubs == tuple(both)
    assert alone.hub_url == both[0]


def test_the_wake_text_is_constant_and_names_the_agent() -> None:
    text = Agent("alpha").wake_text
    assert text == "agent-bus: unread messages for alpha. Run: agent-bus inbox --as alpha"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hub_ulr": "x"}, "hub_ulr is unknown, did you mean hub_url?"),
        ({"agents": []}, "agents: a list with at least one agent is expected"),
        ({"agents": [{"nmae": "alpha"}]}, "agents[0].nmae is unknown, did you mean name?"),
        ({"agents": [{"name": "Bad Name!"}]}, "agents[0].name is 'Bad Name!'"),
        ({"agents": [{"name": "a"}, {"name": "a"}]}, "agents[1].name: a is listed twice"),
        (
            {"agents": [{"name": "a", "waker": "smoke"}]},
            "use one of hook, command, claude-code, codex",
        ),
        ({"agents": [{"name": "a", "waker": "command"}]}, "agents[0].command is missing"),
        ({"agents": [{"name": "a", "command": "ls"}]}, "a list of strings is expected"),
        ({"agents": [{**TURNS, "user": "no user"}]}, "agents[0].user is 'no user': the name of a"),
        ({"agents": [{"name": "a", "waker": "codex"}]}, "agents[0].user is None: the name of a"),
        ({"agents": [{**TURNS, "folder": "here"}]}, "agents[0].folder is 'here': an absolute"),
        ({"agents": [{**TURNS, "program": "bin/x"}]}, "a name or an absolute path is expected"),
        ({"agents": [{**TURNS, "turn_limit_s": 5}]}, "agents[0].turn_limit_s is 5: at least 10 s"),
        ({"agents": [{**TURNS, "turn_limit_s": "1"}]}, "a number of seconds is expected"),
        ({"agents": [{**TURNS, "session": "old"}]}, "use one of resume, new"),
        ({"agents": [{**TURNS, "sandbox": "read-only"}]}, "agents[0].sandbox is unknown"),
        ({"agents": [{**TURNS, "arguments": "-v"}]}, "agents[0].arguments: a list of strings"),
        ({"agents": [{**TURNS, "environment_file": "x"}]}, "agents[0].environment_file is 'x'"),
        ({"agents": [{**TURNS, "command": ["x"]}]}, "agents[0].command is unknown"),
        ({"hub_url": "t440:8091"}, "hub_url: 't440:8091' is not an address"),
        ({"gateway_url": 5}, "gateway_url is 5: a string is expected"),
        ({"wake_min_interval_s": "12"}, "a number of seconds is expected"),
        ({"stagger_s": -1}, "a number of seconds is expected"),
        ({"stagger_s": True}, "a number of seconds is expected"),
        ({"hook_mode": "both"}, "use wake or agent"),
        ({"hub_urls": "http://t440:8091"}, "hub_urls: a list with at least one address"),
        ({"hub_urls": []}, "hub_urls: a list with at least one address"),
        ({"hub_urls": ["http://t440:8091", "nuc"]}, "hub_urls[1]: 'nuc' is not an address"),
        ({"hub_urls": ["http://t440:8091"] * 2}, "hub_urls[1]: http://t440:8091 is listed twice"),
        ({"hub_urls": ["http://nuc:8091"]}, "hub_url is 'http://t440:8091': it is not among"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes: dict[str, Any], expected: str) -> None:
    assert any(expected in problem for problem in problems(**changes)), problems(**changes)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps({"agent": [], "stagger_s": "x"}))
    with pytest.raises(SettingsError) as caught:
        settings.load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert all(line.startswith(str(path)) for line in lines)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b""])
def test_what_is_no_object_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "node.json"
    path.write_bytes(raw)
    with pytest.raises(SettingsError):
        settings.load(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "hook"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "waker", "command", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "stagger_s", "hook_mode", "bogus"]), JSON))
def test_any_json_is_read_or_refused_with_words(raw: dict[str, Any]) -> None:
    found: list[str] = []
    assert (settings.parse(raw, found) is None) == bool(found)


def test_a_secret_is_read_from_the_credentials_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SettingsError, match="LoadCredential"):
        settings.read_secret("node-token")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(SettingsError, match="No such file"):
        settings.read_secret("node-token")
    (tmp_path / "node-token").write_text("secret\n")
    assert settings.read_secret("node-token") == "secret"


@pytest.mark.parametrize("raw", [b"", b"two words", b"a\nb", b"\xff"])
def test_a_broken_token_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(raw)
    with pytest.raises(SettingsError):
        settings.read_token_file(path)
