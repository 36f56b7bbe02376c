"""Ansible module: read or write a part of a file on a host; its action plugin carries the whole.

Runs on the hosts, on their own Python (3.9 and newer). `playbooks/action_plugins/large_file.py`
calls it once per part, so that neither side ever holds more of the file than one part
(docs/decisions/0033-large-files-travel-in-parts.md).
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: large_file
short_description: Carry a large file between the control node and a host, in parts
description:
  - The memory used does not depend on the size of the file. A transfer that is cut off leaves no
    file under the final name.
options:
  path: {description: The file on the host., type: path, required: true}
  local: {description: The file on the control node., type: path}
  direction:
    description: C(fetch) brings it to the control node, C(send) brings it to the host.
    type: str
    choices: [fetch, send]
  sha256: {description: What the file must hash to; otherwise it is deleted., type: str}
  part:
    description: Used by the action plugin, once per part.
    type: str
    choices: [look, read, write, finish]
  offset: {description: Where the part begins., type: int, default: 0}
  length: {description: How many bytes to read., type: int, default: 0}
  content: {description: A part to be written, by zlib and base64., type: str}
"""

RETURN = r"""
bytes: {description: The size of the file; -1 if it is not there., type: int}
free: {description: Bytes that are free on its file system (C(look))., type: int}
content: {description: The part, by zlib and base64 (C(read))., type: str}
sha256: {description: The checksum of the whole file (C(finish))., type: str}
"""


def partial(path: Path) -> Path:
    """Return the name that a file has until it is whole."""
    return path.with_name(f".{path.name}.part")


def look(path: Path) -> dict[str, Any]:
    """Return the file's size, -1 without a file, and the room beside it.

    Raises:
        OSError: there is no such folder.
    """
    free = shutil.disk_usage(path.parent).free
    return {"bytes": path.stat().st_size if path.is_file() else -1, "free": free}


def read(path: Path, offset: int, length: int) -> dict[str, Any]:
    """Return a part of the file, packed.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(length)
    packed = zlib.compress(content, level=1)
    return {"content": base64.b64encode(packed).decode("ascii")}


def write(path: Path, offset: int, content: str) -> dict[str, Any]:
    """Write one part of the file to come; the first part replaces what an earlier run has left.

    Raises:
        OSError: it cannot be written.
        ValueError: a part before this one is missing.
    """
    begun = partial(path)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if offset == 0 else 0)
    with os.fdopen(os.open(begun, flags, 0o600), "wb") as file:
        if os.fstat(file.fileno()).st_size < offset:
            raise ValueError(
                f"{begun} ends before byte {offset}: somebody else is writing it, too"
            )
        file.seek(offset)
        file.write(zlib.decompress(base64.b64decode(content)))
    return {"changed": True}


def finish(path: Path, sha256: str) -> dict[str, Any]:
    """Give the written file its name, once it is synced and has the right checksum.

    Raises:
        OSError: it cannot be read or renamed.
        ValueError: it is not what was sent; it has been deleted.
    """
    begun = partial(path)
    hashed = hashlib.sha256()
    with begun.open("rb") as file:
        while piece := file.read(1 << 20):
            hashed.update(piece)
        os.fsync(file.fileno())
    if hashed.hexdigest() != sha256:
        begun.unlink()
        raise ValueError(f"{path} did not arrive as it was sent: try again")
    begun.chmod(0o600)
    begun.replace(path)
    return {"changed": True, "sha256": sha256}


def answer(given: dict[str, Any]) -> dict[str, Any]:
    """Do one part of the work."""
    path = Path(given["path"])
    if given["part"] == "read":
        return read(path, given["offset"], given["length"])
    if given["part"] == "write":
        return write(path, given["offset"], given["content"])
    if given["part"] == "finish":
        return finish(path, given["sha256"])
    return look(path)


def main() -> None:
    """Answer with one part, or with why there is none."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "local": {"type": "path"},
            "direction": {"type": "str", "choices": ["fetch", "send"]},
            "sha256": {"type": "str"},
            "part": {"type": "str", "choices": ["look", "read", "write", "finish"]},
            "offset": {"type": "int", "default": 0},
            "length": {"type": "int", "default": 0},
            # no_log: neither in the host's journal nor in what is returned
            "content": {"type": "str", "no_log": True},
        },
        supports_check_mode=False,
    )
    try:
        found = answer(module.params)
    except (OSError, ValueError, zlib.error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
