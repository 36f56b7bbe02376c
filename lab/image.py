"""The lab's image: built once for each content of lab/image/, found again in milliseconds."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from lab.paths import ROOT
from lab.podman import podman, run

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_DIR = ROOT / "lab" / "image"


def content_hash(*paths: Path) -> str:
    """Return 12 hex digits that change with the name or content of any file below the paths."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(path.parent)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def ensure() -> str:
    """Return the tag of the image, after building it and its base if either is missing."""
    base = f"localhost/agent-bus-lab-base:{content_hash(IMAGE_DIR / 'bootstrap-base')}"
    tag = f"localhost/agent-bus-lab:{content_hash(IMAGE_DIR)}"
    if _exists(tag):
        return tag
    started = time.monotonic()
    if not _exists(base):
        print("lab: making the base image from Debian packages (about 20 s, once)", flush=True)
        run([str(IMAGE_DIR / "bootstrap-base"), base])
    print("lab: building the image of a host (about 15 s, once)", flush=True)
    podman("build", "--quiet", "--build-arg", f"BASE={base}", "--tag", tag, str(IMAGE_DIR))
    print(f"lab: image {tag} ready after {time.monotonic() - started:.0f} s", flush=True)
    return tag


def _exists(tag: str) -> bool:
    return podman("image", "exists", tag, check=False).returncode == 0
