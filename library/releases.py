"""Ansible module: remember which releases were good on a host, and go back to one.

Runs on the hosts, on their own Python (3.9 and newer). A release is good once it has passed its
gate. The module then keeps the texts of the files that the release ran with, so that going back
restores the settings and the unit, too. A release that failed is remembered as bad.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: releases
short_description: Remember which releases were good on a host, and go back to one
options:
  home:
    description: Folder with C(releases/) and the link C(current).
    type: path
    required: true
  state:
    description:
      - C(known) only looks.
      - C(good) notes that the release has passed its gate, and removes old ones.
      - C(applied) goes back to what passed last, if that is not what was tried, and notes the
        release that was tried as bad.
      - C(previous) goes back to the release before the one that runs.
    type: str
    choices: [known, good, applied, previous]
    default: known
  release: {description: The release that is tried., type: str, default: ""}
  digest: {description: Hash of all that it is started with., type: str, default: ""}
  files: {description: The files that belong to it., type: list, elements: path, default: []}
  why: {description: What was wrong with it., type: str, default: ""}
  blame: {description: Note the release that was tried as bad., type: bool, default: true}
  keep: {description: How many releases stay., type: int, default: 3}
"""

RETURN = r"""
current: {description: The release that the link points to., type: str}
applied: {description: Release and hash of what passed its gate last., type: str}
good: {description: Releases that passed, the newest last., type: list, elements: str}
bad: {description: Releases that failed, and why., type: dict}
back_to: {description: The release that was gone back to; empty if there was none., type: str}
stayed:
  description:
    - Why nothing was gone back to. C(same): what was tried is what passed last. C(first): nothing
      has passed before. C(gone): what passed before is not there any more.
  type: str
"""

Memory = dict[str, Any]


def read(home: Path) -> Memory:
    """Return what is remembered: `good`, a list of entries, the newest last, and `bad`."""
    try:
        found: Memory = json.loads((home / "releases.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {"good": [], "bad": {}}
    return found


def write(home: Path, memory: Memory) -> None:
    """Keep the memory; a second file says what passed last, and is quick to compare."""
    _replace(home / "releases.json", json.dumps(memory, indent=1) + "\n", 0o600)
    if memory["good"]:
        _replace(home / "APPLIED", applied(memory), 0o644)
    else:
        (home / "APPLIED").unlink(missing_ok=True)


def applied(memory: Memory) -> str:
    """Return release and hash of what passed last, one line; empty if nothing did."""
    newest = memory["good"][-1:]
    return "".join(f"{entry['release']} {entry['digest']}\n" for entry in newest)


def _noted(home: Path) -> str:
    note = home / "APPLIED"
    return note.read_text(encoding="utf-8") if note.exists() else ""


def current(home: Path) -> str:
    """Return the release that the link points to; empty without one."""
    link = home / "current"
    return link.readlink().name if link.is_symlink() else ""


def note_good(home: Path, given: dict[str, Any]) -> bool:
    """Remember the release as good, with its files, and forget what is too old."""
    memory = read(home)
    release, files = given["release"], [_capture(Path(name)) for name in given["files"]]
    entry = {"release": release, "digest": given["digest"], "files": files}
    good = [other for other in memory["good"] if other["release"] != release]
    bad = {name: why for name, why in memory["bad"].items() if name != release}
    after = {"good": [*good, entry][-given["keep"] :], "bad": bad}
    changed = after != memory or _noted(home) != applied(after)
    if changed:
        write(home, after)
    kept = {other["release"] for other in after["good"]}
    doomed = [path for path in (home / "releases").iterdir() if path.name not in kept]
    for path in doomed:
        shutil.rmtree(path)
    return changed or bool(doomed)


def go_back(home: Path, given: dict[str, Any]) -> tuple[str, str]:
    """Point to an earlier release with its files; return it, or nothing and why not."""
    memory = read(home)
    tried = given["release"] or current(home)
    if given["state"] == "previous":
        left = [entry for entry in memory["good"] if entry["release"] != tried]
    else:
        left = memory["good"]
        if left and (left[-1]["release"], left[-1]["digest"]) == (tried, given["digest"]):
            return "", "same"  # nothing was changed, so the cause of the failure lies elsewhere
    there = [entry for entry in left if (home / "releases" / entry["release"]).is_dir()]
    if not there:
        return "", "gone" if left else "first"
    left = there
    target = left[-1]
    for file in target["files"]:
        _restore(file)
    _point(home / "current", f"releases/{target['release']}")
    if target["release"] != tried and given["blame"]:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        memory["bad"][tried] = f"{at}: {given['why']}"
    write(home, {"good": left, "bad": memory["bad"]})
    return str(target["release"]), ""


def _capture(path: Path) -> Memory:
    status = path.stat()
    return {
        "path": str(path),
        "text": path.read_text(encoding="utf-8"),
        "mode": status.st_mode & 0o7777,
        "owner": status.st_uid,
        "group": status.st_gid,
    }


def _restore(file: Memory) -> None:
    path = Path(file["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, file["text"], file["mode"])
    os.chown(path, file["owner"], file["group"])


def _replace(path: Path, text: str, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(mode)
    Path(name).replace(path)


def _point(link: Path, target: str) -> None:
    new = link.with_name(f"{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def main() -> None:
    """Look, note or go back, then answer what is known."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "state": {"choices": ["known", "good", "applied", "previous"], "default": "known"},
            "release": {"type": "str", "default": ""},
            "digest": {"type": "str", "default": ""},
            "files": {"type": "list", "elements": "path", "default": []},
            "why": {"type": "str", "default": ""},
            "blame": {"type": "bool", "default": True},
            "keep": {"type": "int", "default": 3},
        },
        required_if=[("state", "good", ["release", "digest"])],
        supports_check_mode=True,
    )
    given = module.params
    home = Path(given["home"])
    changed, back_to, stayed = False, "", ""
    try:
        if not module.check_mode and given["state"] == "good":
            changed = note_good(home, given)
        elif not module.check_mode and given["state"] != "known":
            back_to, stayed = go_back(home, given)
            changed = bool(back_to)
        memory = read(home)
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        current=current(home),
        applied=_noted(home),
        good=[entry["release"] for entry in memory["good"]],
        bad=memory["bad"],
        back_to=back_to,
        stayed=stayed,
    )


if __name__ == "__main__":
    main()
