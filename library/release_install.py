"""Ansible module: make an unpacked release complete on a host, and try it as those who run it.

Runs on the hosts, on their own Python (3.9 and newer), as root. Nothing here is left to the
host's umask. The mark INSTALLED is set only after each user has read and run the release, and a
release that somebody cannot run any more counts as not installed: the next rollout mends it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTATION = r"""
module: release_install
short_description: Make an unpacked release complete, and try it as the users who run it
options:
  path: {description: Folder of the release., type: path, required: true}
  state:
    description:
      - C(looked) tells whether it is complete and can be run.
      - C(complete) makes its system users, its environment and its compiled code, then tries it.
    type: str
    choices: [looked, complete]
    default: looked
  users:
    description: Who runs it.
    type: list
    elements: str
    required: true
  modules: {description: Python modules they import., type: list, elements: str, required: true}
  python: {description: Python of the host., type: path, default: /usr/bin/python3}
  installer:
    description: File name of pip's wheel; with it the release gets an environment with its wheels.
    type: str
    default: ""
"""

RETURN = r"""
usable: {description: Whether it is complete and all users can run it., type: bool}
why: {description: Why it is not., type: str}
"""

MARK = "INSTALLED"
OPEN = 0o755
TRY = """
import importlib, os, sys
root, *modules = sys.argv[1:]
def stop(error): raise error
for folder, inside, names in os.walk(root, onerror=stop):
    inside[:] = [name for name in inside if name != "__pycache__"]
    for name in names: open(os.path.join(folder, name), "rb").close()
sys.path.insert(0, root)
for module in modules: importlib.import_module(module)
"""
"""Reads every file and imports the program. Python does without what it compiled before."""


def trouble_of(user: str, command: Sequence[str]) -> str:
    """Run a command as a user; return the end of what it complains about, or nothing."""
    entry = pwd.getpwnam(user)
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        groups = os.getgrouplist(user, entry.pw_gid)
        as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    try:
        done = subprocess.run(
            command,
            **as_user,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:  # that user cannot reach the Python
        return str(error)
    if done.returncode == 0:
        return ""
    words = done.stderr.strip().splitlines()
    return words[-1] if words else f"exit code {done.returncode}"


def tried(module: AnsibleModule) -> str:
    """Return why a user cannot run the release, or nothing."""
    given, path = module.params, Path(module.params["path"])
    alone = (
        ["-I"] if given["installer"] else ["-I", "-S"]
    )  # a node needs Python's own library only
    python = path / "venv" / "bin" / "python" if given["installer"] else Path(given["python"])
    for user in given["users"]:
        try:
            trouble = trouble_of(
                user, [str(python), *alone, "-c", TRY, str(path), *given["modules"]]
            )
        except KeyError:
            return f"there is no user {user}"
        if trouble:
            return f"user {user} cannot run {path}: {trouble}{closed_to(path)}"
    return ""


def closed_to(path: Path) -> str:
    """Return which folder above the release is closed to others, with what opens it."""
    for folder in [*path.parents][::-1]:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & 0o001:
            return f". {folder} has mode {mode:04o}: chmod o+x {folder}, then run this again"
    return ""


def complete(module: AnsibleModule) -> None:
    """Make all that is not in the archive, and set the mark once every user has run it."""
    given, path = module.params, Path(module.params["path"])
    for folder in (path, path.parent, path.parent.parent):
        folder.chmod(OPEN)
    mark = path / MARK
    mark.unlink(missing_ok=True)  # made again below, after the try, with the right mode
    for compiled in path.rglob("__pycache__"):
        shutil.rmtree(compiled)
    run(module, ["systemd-sysusers", str(path / "sysusers.conf")])
    python = given["python"]
    if given["installer"]:
        wheels = path / "wheels"
        run(module, [python, "-m", "venv", "--clear", "--without-pip", str(path / "venv")])
        python = str(path / "venv" / "bin" / "python")
        quiet = ("--quiet", "--disable-pip-version-check", "--root-user-action", "ignore")
        offline = ("--no-index", "--no-deps", "--require-hashes", "--find-links", str(wheels))
        pip = f"{wheels}/{given['installer']}/pip"
        locked = ("--requirement", str(path / "requirements.txt"))
        run(module, [python, pip, "install", *quiet, *offline, *locked])
    packages = sorted({name.partition(".")[0] for name in given["modules"]})
    run(module, [python, "-m", "compileall", "-q", *(str(path / name) for name in packages)])
    why = tried(module)
    if why:
        module.fail_json(msg=f"{why}.")
    mark.touch()
    mark.chmod(0o644)


def run(module: AnsibleModule, command: Sequence[str]) -> None:
    """Run a command; fail with its words if it does."""
    code, out, err = module.run_command(list(command))
    if code != 0:
        words = "\n".join((out + err).strip().splitlines()[-15:])
        module.fail_json(msg=f"{' '.join(command[:6])} ... failed ({code}):\n{words}")


def main() -> None:
    """Look or complete, and answer."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"choices": ["looked", "complete"], "default": "looked"},
            "users": {"type": "list", "elements": "str", "required": True},
            "modules": {"type": "list", "elements": "str", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "installer": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    changed = module.params["state"] == "complete"
    if changed and not module.check_mode:
        complete(module)
    why = "" if (Path(module.params["path"]) / MARK).exists() else "it is not complete"
    if not changed and not why:
        why = tried(module)
    module.exit_json(changed=changed, usable=not why, why=why)


if __name__ == "__main__":
    main()
