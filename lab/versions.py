"""Roll a small fleet out with other versions of ansible-core: `python -m lab.versions`.

The control node is a container with Debian 13 and Python 3.13, since ansible-core 2.20 and newer
need Python 3.12. The wheels are fetched on this machine, so the containers need no internet. The
first rollout is done by this environment. Each other version first finds what the version before
it has left, and must have nothing to change; then it rolls out from nothing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from lab.fleet import making, plays, standing
from lab.fleet.ssh import ssh_command
from lab.paths import ROOT, LabError, fleet_dir, socket_dir
from lab.progress import doing, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

VERSIONS: Final = ("2.20", "2.21")
CONTROL: Final = "control"
PYTHON: Final = "3.13"
INVENTORY: Final = ROOT / "tests" / "inventories" / "ansible-versions"
TROUBLE: Final = re.compile(r"\[(DEPRECATION WARNING|WARNING|ERROR)\].*")
RECAP: Final = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


class ControlNode:
    """The container that runs other versions of ansible-core, as root in a copy of the clone."""

    def __init__(self, up: standing.Fleet) -> None:
        self._up = up
        self._ssh = ssh_command(standing.spec_of(up, CONTROL))

    def on(self, command: str, *, stdin: bytes = b"") -> str:
        """Run a command there and return all that it printed.

        Raises:
            LabError: it failed; the message has its last lines.
        """
        words = [*self._ssh, "sudo", "sh", "-c", f"'cd {ROOT} 2>/dev/null; {command}' 2>&1"]
        done = subprocess.run(words, input=stdin, capture_output=True, check=False)
        text = done.stdout.decode(errors="replace")
        if done.returncode:
            raise LabError(f"{command!r} ended with {done.returncode}:\n{text[-6000:]}")
        return text

    def take(self, files: Sequence[Path]) -> None:
        """Copy files and folders to the same paths there."""
        names = "\0".join(str(file).lstrip("/") for file in files)
        pack = ["tar", "--create", "--null", "--directory=/", "--files-from=-"]
        packed = subprocess.run(pack, input=names.encode(), capture_output=True, check=True)
        self.on(f"mkdir -p {ROOT} && tar --extract --directory=/", stdin=packed.stdout)

    def install(self, version: str) -> str:
        """Make an environment with that version; return which version it is exactly."""
        wheels = wheels_of(version)
        self.take([wheels])
        home = f"/opt/ansible-{version}"
        pip = next(wheels.glob("pip-*.whl"))
        self.on(f"python3 -m venv --clear --without-pip {home}")
        self.on(
            f"{home}/bin/python {pip}/pip install --quiet --no-index --find-links {wheels}"
            " --disable-pip-version-check --root-user-action ignore ansible-core"
        )
        return self.on(f"{home}/bin/ansible-playbook --version").splitlines()[0]

    def play(self, version: str, playbook: str, *arguments: str) -> str:
        """Run a playbook with that version and return its output, which must have no warning.

        Raises:
            LabError: it failed, or Ansible warned.
        """
        doing(f"ansible-core {version}: {playbook} {' '.join(arguments)}")
        sources = " ".join(f"-i {source}" for source in (*self._up.sources, self._up.overlay))
        settings = f"ANSIBLE_CONFIG={ROOT}/ansible.cfg ANSIBLE_NOCOLOR=1"
        program = f"/opt/ansible-{version}/bin/ansible-playbook"
        text = self.on(f"{settings} {program} {sources} {playbook} {' '.join(arguments)}")
        if trouble := {found[0] for found in TROUBLE.finditer(text)}:
            raise LabError(f"{playbook} with {version}:\n" + "\n".join(sorted(trouble)))
        return text


def wheels_of(version: str) -> Path:
    """Return the folder with the wheels of that version, after fetching them if necessary."""
    folder = ROOT / ".cache" / "ansible-versions" / version
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"),
        *("--disable-pip-version-check", f"--python-version={PYTHON}", f"--dest={folder}"),
        *(f"ansible-core=={version}.*", "pip"),
    ]
    if not folder.exists():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"pip cannot fetch ansible-core {version}: {done.stderr[-2000:]}")
    return folder


def project() -> list[Path]:
    """Return the files of the clone and what was built from them: nothing is fetched there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    known = [ROOT / name for name in listed.split("\0") if name]
    built = [ROOT / ".cache" / "wheels", ROOT / ".cache" / "releases"]
    return [*(file for file in known if file.exists() or file.is_symlink()), *built]


def changed(text: str) -> dict[str, int]:
    """Return how many tasks changed each host."""
    return {host: int(count) for host, count in RECAP.findall(text)}


def trial(control: ControlNode, version: str) -> Iterator[str]:
    """Do all that a version has to do; yield what was done.

    Raises:
        LabError: something failed.
    """
    yield control.install(version)
    control.play(version, "playbooks/preflight.yml")
    books = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
    for book in ("site.yml", *(f"playbooks/{name}" for name in books)):
        control.play(version, book, "--syntax-check")
    yield f"preflight, and the syntax of site.yml and {len(books)} playbooks"
    if left := {host: n for host, n in changed(control.play(version, "site.yml")).items() if n}:
        raise LabError(f"{version} finds something to do after another version: {left}")
    yield "nothing to do on what another version has rolled out"
    control.play(version, "playbooks/uninstall.yml", "-e uninstall_yes=true")
    yield f"removed the bus, then rolled out: {changed(control.play(version, 'site.yml'))}"
    if left := {host: n for host, n in changed(control.play(version, "site.yml")).items() if n}:
        raise LabError(f"{version} finds something to do in its second run: {left}")
    yield "a second run changes nothing"
    for book in ("verify.yml", "status.yml", "drift.yml", "backup.yml"):
        control.play(version, f"playbooks/{book}")
    yield "verify, status, drift and backup"


def _try_each(name: str, versions: Sequence[str]) -> None:
    up = making.up(name, [INVENTORY])
    say("ansible-versions: the first rollout, by this environment's own ansible-core")
    if plays.play(up, ROOT / "site.yml", settings={"ANSIBLE_DISPLAY_OK_HOSTS": "false"}):
        raise LabError("the first rollout failed, see above")
    control = ControlNode(up)
    control.take([*project(), fleet_dir(name)])
    control.on(f"mkdir -p -m 0700 {socket_dir(name)}")  # the overlay has its path
    for version in versions:
        began = time.monotonic()
        for step in trial(control, version):
            say(f"ansible-versions: {version}: {step} ({time.monotonic() - began:.0f} s)")
    making.down(name)


def main() -> int:
    """Try each version; return 0 only if all pass."""
    parser = argparse.ArgumentParser(prog="python -m lab.versions", description=__doc__)
    parser.add_argument("--name", default="versions", help="name of the fleet")
    parser.add_argument("--version", action="append", help=f"default: {', '.join(VERSIONS)}")
    given = parser.parse_args()
    try:
        _try_each(given.name, given.version or VERSIONS)
    except LabError as error:
        say(f"ansible-versions: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
