"""`agent-bus tail` against the real hub, which ends its streams now and then."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.support.guard import marked
from tests.support.node_side import NODE_PYTHON, HubWithNodes, Node, launcher, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def tailing(node: Node, errors: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `agent-bus tail --as beta`; its stderr goes to a file."""
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += ["tail", "--as", "beta"]
    with (
        errors.open("w") as file,
        subprocess.Popen(
            argv, env=marked(**node.env()), stdout=subprocess.PIPE, stderr=file, text=True
        ) as tail,
    ):
        try:
            yield tail
        finally:
            tail.kill()


def next_line(tail: subprocess.Popen[str]) -> str:
    assert tail.stdout
    return tail.stdout.readline()


def test_tail_prints_messages_as_they_come(node: Node, hub: HubWithNodes, tmp_path: Path) -> None:
    with tailing(node, tmp_path / "errors") as tail:
        hub.send("beta", "look here")
        assert "look here" in next_line(tail)
        tail.send_signal(2)
        assert tail.wait(patience()) == 0
    assert hub.agent("beta")["unfetched"] == 1


def test_tail_goes_on_when_the_hub_renews_the_stream_and_repeats_nothing(
    node: Node, hub: HubWithNodes, tmp_path: Path
) -> None:
    hub.process.kill()
    hub.settings["stream_lifetime_s"] = 0.3
    hub.start()
    hub.send("beta", "message 0.")  # unread: without its place, each stream would repeat it
    with tailing(node, tmp_path / "errors") as tail:
        assert "message 0." in next_line(tail)
        for number in range(1, 4):
            until(
                lambda: not hub.call("GET", "/api/stats")["streams"]["open"],
                what="the stream has ended",
            )
            hub.send("beta", f"message {number}.")
            assert f"message {number}." in next_line(tail)
        assert tail.poll() is None
        tail.send_signal(2)
        assert tail.wait(patience()) == 0
    assert (tmp_path / "errors").read_text() == ""


def test_tail_waits_for_a_hub_that_is_away_and_says_so_once(
    node: Node, hub: HubWithNodes, tmp_path: Path
) -> None:
    errors = tmp_path / "errors"
    with tailing(node, errors) as tail:
        hub.send("beta", "before.")
        assert "before." in next_line(tail)
        hub.process.kill()
        until(lambda: "trying again" in errors.read_text(), what="it is said")
        hub.start()
        hub.send("beta", "after.")
        assert "after." in next_line(tail)
    assert errors.read_text().count("trying again") == 1


def test_tail_ends_at_once_when_the_hub_was_never_there(node: Node, hub: HubWithNodes) -> None:
    hub.process.kill()
    done = node.cli("tail", "--as", "beta")
    assert done.returncode == 69
    assert "does not answer" in done.stderr
