"""No token is anywhere but where it belongs: not in what Ansible shows, not on the hosts."""

from __future__ import annotations

import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab.fleet import plays, standing
from lab.fleet.ssh import ssh_command
from lab.paths import ROOT, fleet_dir

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

SAMPLER = """
import glob, json, sys, threading
seen, over = set(), threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
while not over.wait(0.05):
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            seen.add(open(path, errors="replace").read())
        except OSError:
            pass
print(json.dumps(sorted(seen)))
"""
"""Collects what any process of a host was started with, until its input ends."""
SEARCHED = "/boot /etc /home /opt /root /run /srv /tmp /usr/local /var"
BELONGS = re.compile(
    r"/etc/agent-bus/secrets/(admin|node|hook)\.token"
    r"|/etc/agent-bus/cli/\w+\.token"
    r"|/etc/agent-bus/tokens/[\w-]+"
    r"|/run/credentials/(agent-bus|bus-watcher)\.service/[\w-]+"
    r"|/home/\w+/\.openclaw/openclaw\.json"
)


def tokens(running: RunningFleet) -> set[str]:
    """Return every token in the fleet's folder on the control node."""
    folder = fleet_dir(running.up.name) / "secrets"
    texts = {file.read_text().strip() for file in folder.rglob("*.token*")}
    return texts - {""}


def backups(running: RunningFleet) -> Path:
    """Return a folder that goes away with the fleet."""
    return fleet_dir(running.up.name) / "backups"


def play(running: RunningFleet, name: str, *arguments: str) -> str:
    """Run a playbook as talkative as a troubled operator would; return what it showed."""
    command = plays.playbook_command(running.up, ROOT / name, ["-vvv", "--diff", *arguments])
    done = subprocess.run(
        command, env=plays.readable_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout + done.stderr


class Watch:
    """Collects all command lines and environments on a host while the block runs."""

    def __init__(self, running: RunningFleet, host: str) -> None:
        self._command = [
            *ssh_command(standing.spec_of(running.up, host)),
            f"sudo python3 -c {shlex.quote(SAMPLER)}",
        ]
        self.seen = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.seen, _nothing = self._process.communicate()


def places(running: RunningFleet, known: set[str]) -> set[str]:
    """Return `host:file` of every file on a host that holds a token and should not."""
    patterns = "\n".join(known) + "\n"
    search = f"sudo grep --recursive --files-with-matches --fixed-strings -s -f - {SEARCHED}"

    def found(host: str) -> set[str]:
        done = subprocess.run(
            [*ssh_command(standing.spec_of(running.up, host)), search],
            input=patterns,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1, 2}, done.stderr  # 2: a file went away meanwhile
        return {f"{host}:{file}" for file in done.stdout.split() if not BELONGS.fullmatch(file)}

    with ThreadPoolExecutor() as pool:
        return set().union(*pool.map(found, running.nodes))


def test_no_token_is_shown_or_put_on_a_command_line(running: RunningFleet) -> None:
    """A rotation on the hub's host passes every place that handles a token."""
    hub, before = running.who.hub, tokens(running)
    with Watch(running, hub) as watch:
        shown = [
            play(
                running, "playbooks/rotate_tokens.yml", "--limit", hub, "-e", "rotate_hooks=true"
            ),
            play(running, "playbooks/backup.yml", "-e", f"backup_dir={backups(running)}"),
        ]
    after = tokens(running)
    assert len(after - before) == 3  # the admin's, the node's, the gateway's
    assert "agent-bus.service" in "".join(shown)
    assert "agent_bus serve" in watch.seen.replace("\\u0000", " ")
    for token in before | after:
        assert not any(token in words for words in shown)
        assert token not in watch.seen


def test_no_token_is_shown_by_what_only_looks(running: RunningFleet) -> None:
    """Stands in `make lifecycle`: the check run passes the same places as a rotation."""
    hub, known = running.who.hub, tokens(running)
    with Watch(running, hub) as watch:
        shown = play(running, "site.yml", "--check", "--limit", hub)
        shown += play(running, "playbooks/status.yml")
        shown += play(running, "playbooks/verify.yml")
    assert "agent-bus.service" in shown
    assert not any(token in shown + watch.seen for token in known)


def test_no_token_lies_on_a_host_where_it_does_not_belong(running: RunningFleet) -> None:
    known = tokens(running)
    assert places(running, known) == set()
    running.on(running.who.hub, "sudo cp /etc/agent-bus/secrets/node.token /tmp/stray")
    try:
        assert places(running, known) == {f"{running.who.hub}:/tmp/stray"}
    finally:
        running.on(running.who.hub, "sudo rm /tmp/stray")
    for journal in running.on_nodes("sudo journalctl --no-pager --output cat").values():
        assert not any(token in journal for token in known)


def test_no_token_is_in_what_was_built_or_cached_on_the_control_node(
    running: RunningFleet,
) -> None:
    own = fleet_dir(running.up.name)
    patterns = "\n".join(tokens(running)) + "\n"
    folders = [ROOT / ".cache" / "releases", own / "inventory", *own.glob("*.json")]
    done = subprocess.run(
        ["grep", "-rlFs", "-f", "-", *folders, Path.home() / ".ansible"],
        input=patterns,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
