from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from agent_bus_client import settings
from agent_bus_client.agents import Agent
from agent_bus_client.cli import context
from agent_bus_client.cli.context import identify
from agent_bus_client.errors import NoTokenError, SettingsError, UsageError
from agent_bus_client.settings import Settings

AGENTS = ("alpha", "beta", "main")
ALPHA = Agent("alpha", token_file="/nowhere/alpha")
SETTINGS = Settings("n1", "http://hub", (ALPHA, Agent("beta")))
HOME = Path("/home/openclaw/.openclaw")


@pytest.mark.parametrize(
    ("wanted", "environment", "folder", "agents", "expected"),
    [
        ("beta", {"AGENT_BUS_AGENT": "alpha"}, HOME / "workspace-main", AGENTS, "beta"),
        (None, {"AGENT_BUS_AGENT": "alpha"}, HOME / "workspace-beta", AGENTS, "alpha"),
        (None, {}, HOME / "workspace-beta" / "src", AGENTS, "beta"),
        (None, {}, HOME / "workspace", AGENTS, "main"),
        (None, {}, Path("/"), ("alpha",), "alpha"),
        (None, {}, HOME / "workspace", ("alpha",), "alpha"),
        (None, {"OPENCLAW_PROFILE": "work"}, HOME / "workspace-work", ("alpha",), "alpha"),
        (None, {}, Path("/src/workspace-tools"), ("alpha",), "alpha"),
        (None, {}, HOME / "workspace-alpha" / "repo" / "workspace", AGENTS, "alpha"),
        (None, {}, HOME / "workspace-alpha" / "repo" / "workspace-beta", AGENTS, "alpha"),
        (None, {}, HOME / "workspace" / "repo" / "workspace-beta", AGENTS, "main"),
        (None, {}, Path("/workspace/of/.openclaw/workspace-beta"), AGENTS, "beta"),
        (None, {}, Path("/srv/workspace-alpha/repo/workspace"), AGENTS, "alpha"),
        (None, {}, Path("/srv/workspace/repo"), AGENTS, "main"),
        ("alpha", {}, HOME / "workspace-gamma", ("alpha",), "alpha"),
        ("operator", {}, Path("/"), AGENTS, "operator"),
    ],
)
def test_who_is_asking(
    wanted: str | None,
    environment: dict[str, str],
    folder: Path,
    agents: tuple[str, ...],
    expected: str,
) -> None:
    assert identify(wanted, environment, str(folder), agents=agents) == expected


@pytest.mark.parametrize(
    ("wanted", "folder"), [("nobody", HOME), (None, HOME), (None, HOME / "workspace-nobody")]
)
def test_a_wrong_or_missing_name_is_refused_with_the_choice(
    wanted: str | None, folder: Path
) -> None:
    with pytest.raises(UsageError, match="alpha, beta, main"):
        identify(wanted, {}, str(folder), agents=AGENTS)


@pytest.mark.parametrize("home", [HOME, Path("/home/openclaw/.openclaw-work")])
@pytest.mark.parametrize("agents", [("alpha",), AGENTS])
def test_an_agent_that_is_not_on_the_bus_becomes_no_other(
    home: Path, agents: tuple[str, ...]
) -> None:
    known = ", ".join(agents)
    with pytest.raises(UsageError, match=f"gamma is not on the bus here; its agents: {known} "):
        identify(None, {}, f"{home}/workspace-gamma/repo", agents=agents)


def test_a_user_without_a_token_is_told_who_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENT_BUS_TOKEN_FILE", raising=False)
    monkeypatch.setattr(settings, "TOKENS", tmp_path)
    monkeypatch.setenv("LOGNAME", "root")
    (tmp_path / "claw.token").write_text("secret\n")
    with pytest.raises(NoTokenError) as raised:
        context.read_token(SETTINGS)
    assert raised.value.found == "root has no token for the bus"
    assert "sudo -u claw agent-bus" in raised.value.advice
    assert "agent-bus-admin" in str(raised.value)
    monkeypatch.setenv("LOGNAME", "claw")
    assert context.read_token(SETTINGS) == "secret"


def test_a_user_without_variables_is_known_by_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGENT_BUS_TOKEN_FILE", *context.USER_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "TOKENS", tmp_path)
    (tmp_path / f"{getpass.getuser()}.token").write_text("secret\n")
    assert context.read_token(SETTINGS) == "secret"
    for name in context.USER_VARIABLES[::-1]:  # each comes before those set already
        monkeypatch.setenv(name, f"by-{name.lower()}")
        with pytest.raises(NoTokenError, match=f"^{getpass.getuser()} has no token"):
            context.read_token(SETTINGS)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node whose agent alpha has a token of its own, and a user with the node's."""
    monkeypatch.delenv("AGENT_BUS_TOKEN_FILE", raising=False)
    monkeypatch.setattr(settings, "TOKENS", tmp_path)
    monkeypatch.setenv("LOGNAME", "claw")
    (tmp_path / "claw.token").write_text("nodes\n")
    path = tmp_path / "alpha"
    path.write_text("own\n")
    return Settings("n1", "http://hub", (Agent("alpha", token_file=str(path)), Agent("beta")))


def test_an_agent_with_a_token_of_its_own_uses_that_one(own: Settings) -> None:
    assert context.read_token(own, "alpha") == "own"
    assert context.read_token(own, "beta") == "nodes"
    assert context.read_token(own) == "nodes"


def test_a_user_with_nothing_but_an_agents_token_can_ask_what_concerns_no_agent(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "coder")
    assert context.read_token(own) == "own"
    with pytest.raises(NoTokenError, match="coder has no token for the bus"):
        context.read_token(own, "beta")


def test_who_may_not_read_an_agents_token_is_told_as_whom_to_run(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the system is asked in its place."""
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    with pytest.raises(NoTokenError) as raised:
        context.read_token(own, "alpha")
    assert raised.value.found == "alpha has a token of its own, which claw may not read"
    owner = Path(own.own_token_file("alpha")).owner()
    assert f"sudo -u {owner} agent-bus ..." in raised.value.advice


def test_a_token_that_the_node_does_not_have_yet_is_named(own: Settings) -> None:
    path = own.own_token_file("alpha")
    Path(path).unlink()
    with pytest.raises(SettingsError, match=f"{path}: No such file"):
        context.read_token(own, "alpha")
