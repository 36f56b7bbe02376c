"""`make stress`: run test files several times on a machine that has other work.

Two busy loops and a writer that syncs run beside them; a test that fails there and passes on a
quiet machine depends on how fast the machine is. Prints which tests failed and how often, and
exits with 1 if any did. Each run's output is kept in .cache/stress.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.guard import marked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".cache" / "stress"
BUSY_COUNT = 2
BUSY = "while True: pass"
WRITER = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        file.write(bytes(256 * 1024))
        os.fsync(file.fileno())
        if file.tell() >= 64 * 1024 * 1024:
            file.seek(0)
"""
SIGN_OF_LIFE_S = 20


@contextlib.contextmanager
def load() -> Iterator[None]:
    """Other work on this machine: busy loops, and 64 MiB that are written and synced for ever."""
    folder = Path(tempfile.mkdtemp(prefix="agent-bus-stress-"))
    programs = [[BUSY]] * BUSY_COUNT + [[WRITER, str(folder / "synced")]]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for program in programs:
            argv = [sys.executable, "-I", "-S", "-c", *program]
            started.append(subprocess.Popen(argv, env=marked()))
        yield
    finally:
        for child in started:
            child.kill()
            child.wait()
        shutil.rmtree(folder)


def run(file: str, number: int) -> list[str]:
    """Run one file once; answers what failed: tests, or the file where pytest itself did."""
    log = LOGS / f"{file.replace('/', '_')}.{number}.log"
    argv = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-rfE", file]
    began = time.monotonic()
    with log.open("wb") as out:
        child = subprocess.Popen(argv, cwd=ROOT, env=marked(), stdout=out, stderr=out)
    while True:
        try:
            code = child.wait(SIGN_OF_LIFE_S)
            break
        except subprocess.TimeoutExpired:
            said = log.read_text(errors="replace").strip().rpartition("\n")[2]
            print(f"    {time.monotonic() - began:4.0f} s  {said[:150]}", flush=True)
    failed = failures(log.read_text(errors="replace"))
    if code and not failed:
        failed = [f"{file} (pytest ended with {code})"]
    state = "passed" if not failed else "FAILED " + " ".join(failed)
    print(f"{number}  {time.monotonic() - began:4.0f} s  {file}: {state}", flush=True)
    return failed


def failures(text: str) -> list[str]:
    """The tests that pytest's short summary calls failed, or in error."""
    pattern = r"^(?:FAILED|ERROR) (tests/\S+(?:\[.*?\])?)(?= - |$)"
    return sorted(set(re.findall(pattern, text, re.MULTILINE)))


def files_of(words: Sequence[str]) -> list[str]:
    """The test files that are named, or are below a named folder."""
    found: list[str] = []
    for word in words:
        place = ROOT / word
        if not place.exists():
            raise SystemExit(f"FILES: there is no {word}")
        below = [place] if place.is_file() else sorted(place.rglob("test_*.py"))
        found += [str(one.relative_to(ROOT)) for one in below]
    return found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make stress", description=__doc__)
    parser.add_argument("files", nargs="*", default=["tests"], help="test files or folders")
    parser.add_argument("--times", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="files at once; default: %(default)s")
    arguments = parser.parse_args(words)
    files = files_of(arguments.files)
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    failed: Counter[str] = Counter()
    beside = f"{BUSY_COUNT} busy loops and a writer that syncs"
    print(f"{len(files)} files, {arguments.times} times, beside {beside}")
    runs = [(file, number) for number in range(1, arguments.times + 1) for file in files]
    with load(), ThreadPoolExecutor(arguments.jobs) as pool:
        for found in pool.map(run, *zip(*runs, strict=True)):
            failed.update(found)
    print(f"\n{len(runs)} runs of {len(files)} files; failed tests: {len(failed)}")
    for name, count in failed.most_common():
        print(f"  {count} of {arguments.times}  {name}")
    if failed:
        print(f"what each said: {LOGS.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
