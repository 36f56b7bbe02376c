"""The lab's images, one per distribution: built once for each content of lab/image/.

A built image is found again in milliseconds. Some distributions may be missing: if their packages
are out of reach, the lab says so by name and runs their hosts on the default distribution.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.engine.podman import in_use, podman, run
from lab.paths import ROOT, STORE, LabError
from lab.progress import doing, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

IMAGE_DIR = ROOT / "lab" / "image"
NOTES = ROOT / ".cache" / "lab"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution that a host of the lab can run."""

    title: str
    archive: str | None = None
    """An address that answers if its packages are in reach; None for Debian's."""
    may_be_missing: bool = False
    """False for Debian 12 and 13, which the lab needs; mirrors will drop Debian 11 some day."""


DEFAULT = "bookworm"
DISTRIBUTIONS = {
    "bullseye": Distribution("Debian 11", may_be_missing=True),
    "bookworm": Distribution("Debian 12"),
    "trixie": Distribution("Debian 13"),
    "noble": Distribution(
        "Ubuntu 24.04",
        "http://archive.ubuntu.com/ubuntu/dists/noble/InRelease",
        may_be_missing=True,
    ),
}


def content_hash(*paths: Path) -> str:
    """Return 12 hex digits that change with the name or content of any file below the paths."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(path.parent)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def ensure_all(wanted: Iterable[str], *, settled: bool) -> dict[str, str]:
    """Return the tag of each distribution's image, after building what is missing.

    Args:
        wanted: keys of DISTRIBUTIONS.
        settled: images that were out of reach when the fleet was made are not tried again, so that
            a standing fleet keeps its containers.

    Raises:
        LabError: an unknown distribution, or an image that cannot be built.
    """
    names = sorted(set(wanted))
    for name in names:
        if name not in DISTRIBUTIONS:
            known = ", ".join(DISTRIBUTIONS)
            raise LabError(f"lab_distribution is {name!r}; the lab knows {known}")
    with ThreadPoolExecutor(max_workers=len(DISTRIBUTIONS)) as pool:
        tags = list(pool.map(lambda name: _ensure(name, settled=settled), names))
    if None in tags and DEFAULT not in names:
        return ensure_all([*names, DEFAULT], settled=True)
    found = dict(zip(names, tags, strict=True))
    return {name: tag or str(found[DEFAULT]) for name, tag in found.items()}


def _ensure(name: str, *, settled: bool) -> str | None:
    """Return the tag of an image; None if its packages are out of reach."""
    tag = f"localhost/agent-bus-lab-{name}:{content_hash(IMAGE_DIR)}"
    note = NOTES / f"not-run-{name}"
    if settled and note.exists():
        return None
    note.unlink(missing_ok=True)
    if _exists(tag):
        return tag
    with _alone(name):
        return tag if _exists(tag) else _build(name, tag, note)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Make other runs wait for the image that is being made, instead of making it, too."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / f"image-{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"lab: waiting for another run's image of {DISTRIBUTIONS[name].title}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str, tag: str, note: Path) -> str | None:
    started = time.monotonic()
    try:
        base = _ensure_base(name)
    except LabError as error:
        if not DISTRIBUTIONS[name].may_be_missing:
            raise
        _leave_out(name, note, str(error))
        return None
    doing(f"building the image of {DISTRIBUTIONS[name].title}")
    podman("build", "--quiet", "--build-arg", f"BASE={base}", "--tag", tag, str(IMAGE_DIR))
    say(f"lab: image {tag} ready after {time.monotonic() - started:.0f} s")
    return tag


def _ensure_base(name: str) -> str:
    base = f"localhost/agent-bus-lab-base-{name}:{content_hash(IMAGE_DIR / 'bootstrap-base')}"
    if not _exists(base):
        archive = DISTRIBUTIONS[name].archive
        if archive is not None:
            _reach(archive)
        title = DISTRIBUTIONS[name].title
        say(f"lab: making an image of {title} from packages (about 40 s, once)")
        doing(f"unpacking {title}")
        run([str(IMAGE_DIR / "bootstrap-base"), base, name])
    return base


def _reach(archive: str) -> None:
    """Fail soon if an archive is out of reach: the bootstrap would try for minutes."""
    try:
        urllib.request.urlopen(archive, timeout=10).close()  # noqa: S310 - one of the constants above
    except (urllib.error.URLError, OSError) as error:
        raise LabError(f"{archive} cannot be reached: {error}") from error


def _leave_out(name: str, note: Path, why: str) -> None:
    """Say by name what is not run, now and in a note for the summary."""
    words = (
        f"NOT RUN on {DISTRIBUTIONS[name].title}: its hosts run {DISTRIBUTIONS[DEFAULT].title}, "
        f"because {why}"
    )
    print(f"lab: {words}", file=sys.stderr, flush=True)
    say(f"lab: {words}")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{words}\n")


def _exists(tag: str) -> bool:
    return podman("image", "exists", tag, check=False).returncode == 0


def main(wanted: Sequence[str]) -> int:
    """Build the images that are missing: those of the distributions named, or all."""
    try:
        with in_use():
            ensure_all(wanted or DISTRIBUTIONS, settled=False)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
