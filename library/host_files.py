"""Ansible module: put a list of files, folders and links into place in one call.

Runs on the hosts, on their own Python (3.9 and newer), once per call and single-threaded. The
core modules take one call, often two, for each file; over a fleet that is most of a rollout's
time (docs/decisions/0012-one-call-for-many-files.md).
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_files
short_description: Put files, folders and links into place, all in one call
description:
  - Entries are handled in the given order, so a folder stands before what goes into it.
  - Files are replaced atomically. Check mode and diff are supported.
options:
  files:
    description: What should be there, or be absent.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      state:
        description: The kind of thing.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content: {description: The whole text of a file., type: str}
      target: {description: What a link points to., type: str}
      owner: {description: Name of the owner; the user who runs the module if left out., type: str}
      group: {description: Name of the group; that user's own if left out., type: str}
      mode:
        description: Mode as a quoted octal number; 0755 for a new folder and 0644 for a new file.
        type: str
      validate:
        description: Command that must accept a new file before it is put in place; %s is its path.
        type: str
      secret: {description: Leave the content out of the diff., type: bool, default: false}
"""

RETURN = r"""
paths:
  description: The paths that were changed, or would be in check mode.
  type: list
  elements: str
"""

FOLDER, FILE = 0o755, 0o644
"""The modes of new entries without a mode; the host's umask does not matter."""
ENTRY = {
    "path": {"type": "path", "required": True},
    "state": {"choices": ["file", "directory", "link", "absent"], "default": "file"},
    "content": {"type": "str", "no_log": False},
    "target": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
    "validate": {"type": "str"},
    "secret": {"type": "bool", "default": False},
}


def place(module: AnsibleModule, entry: dict[str, Any]) -> dict[str, str] | None:
    """Put one entry into place; return what differed, in the form of a diff, or None."""
    path = Path(entry["path"])
    if entry["state"] == "absent":
        return _remove(module, path)
    if entry["state"] == "link":
        return _link(module, path, entry["target"])
    if entry["state"] == "directory":
        difference = _make_directory(module, path)
    else:
        difference = _write(module, path, entry)
    if path.exists() and _attributes(module, entry, path) and difference is None:
        return _differs(path, "", "(owner, group or mode)\n")
    return difference


def _differs(path: Path, before: str, after: str) -> dict[str, str]:
    header = str(path)
    return {"before": before, "after": after, "before_header": header, "after_header": header}


def _attributes(module: AnsibleModule, entry: dict[str, Any], path: Path) -> bool:
    """Set owner, group and mode; tell whether any of them was different."""
    wanted = {
        "path": str(path),
        "owner": entry["owner"] or str(os.geteuid()),
        "group": entry["group"] or str(os.getegid()),
        "mode": entry["mode"],
    }
    arguments = module.load_file_common_arguments(wanted)
    return bool(module.set_fs_attributes_if_different(arguments, changed=False))


def _remove(module: AnsibleModule, path: Path) -> dict[str, str] | None:
    if not (path.exists() or path.is_symlink()):
        return None
    if not module.check_mode:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return _differs(path, "(present)\n", "")


def _link(module: AnsibleModule, path: Path, target: str) -> dict[str, str] | None:
    before = str(path.readlink()) if path.is_symlink() else ""
    if before == target:
        return None
    if not module.check_mode:
        temporary = path.with_name(f"{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
    return _differs(path, f"{before}\n" if before else "", f"{target}\n")


def _make_directory(module: AnsibleModule, path: Path) -> dict[str, str] | None:
    if path.is_dir():
        return None
    if not module.check_mode:
        for folder in [*path.parents][::-1]:
            if not folder.exists():
                folder.mkdir()
                folder.chmod(FOLDER)
        path.mkdir()
        path.chmod(FOLDER)
    return _differs(path, "", "(folder)\n")


def _write(module: AnsibleModule, path: Path, entry: dict[str, Any]) -> dict[str, str] | None:
    text = entry["content"] or ""
    before = None
    if path.is_file():
        before = path.read_bytes().decode("utf-8", errors="replace")
    if before == text:
        return None
    if not module.check_mode:
        _replace(module, path, entry, text)
    if entry["secret"]:
        return _differs(path, "", "(secret)\n")
    return _differs(path, before or "", text)


def _replace(module: AnsibleModule, path: Path, entry: dict[str, Any], text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=module.tmpdir)
    temporary = Path(name)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if entry["validate"]:
        command = [name if word == "%s" else word for word in shlex.split(entry["validate"])]
        code, out, err = module.run_command(command)
        if code != 0:
            temporary.unlink()
            module.fail_json(
                msg=f"{path} was left as it is: the new one is not valid.\n{out}{err}"
            )
    _attributes(module, entry, temporary)
    is_new = not path.exists()
    module.atomic_move(name, str(path))
    if is_new and not entry["mode"]:
        path.chmod(FILE)


def main() -> None:
    """Handle all entries and answer which paths changed."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": ENTRY,
            }
        },
        supports_check_mode=True,
    )
    os.umask(0o077)  # so that a secret is never open, even before its mode is set
    differences = []
    for entry in module.params["files"]:
        difference = place(module, entry)
        if difference is not None:
            differences.append(difference)
    module.exit_json(
        changed=bool(differences),
        paths=[difference["after_header"] for difference in differences],
        diff=differences,
    )


if __name__ == "__main__":
    main()
