"""What one call of the command line costs beside a bare interpreter: CPU and resident memory.

Run by `make bench-cli` from the project's root. The verbs and two bare interpreters take turns, so
that what else the machine does hits all of them, and each run is compared with the bare one of its
own turn. The release is placed and compiled as on a node, and the node's own Python runs it. With
`--before`, that revision takes turns, too. It prints a table and the goals, and writes
.cache/bench-cli.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.mcp_cost import fleet
from bench.measure import machine
from bench.targets import Goal
from tests.support.guard import marked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / ".cache" / "bench-cli.json"
PACKAGES: Final = ("agent_bus_client", "agent_bus_mcp")
HERE: Final = "this revision"
BARE: Final = "python3 -I -S -c pass"
FLOOR: Final = "import argparse, json, _socket"
HOT: Final = ("send", "inbox")
"""The verbs that every turn of an agent runs: only they have goals."""
MOST_TIMES: Final = 4.0
MOST_MIB: Final = 12.0
MEMORY_RUNS: Final = 3
LAUNCHER: Final = """\
import os
import sys

sys.path.insert(0, os.path.realpath({release!r}))
os.environ.setdefault("AGENT_BUS_CONFIG", "/etc/agent-bus/node.json")

from agent_bus_client.__main__ import main

sys.exit(main(sys.argv[1:]))
"""
"""As templates/agent-bus.j2."""
WEIGHED: Final = """\
import os, sys
leave = os._exit
def weigh(status):
    with open("/proc/self/status") as file:
        peak = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    os.write(2, ("\\n" + peak[0]).encode())
    leave(status)
os._exit = weigh
program = sys.argv.pop(1)
try:
    exec(compile(open(program).read(), program, "exec"))
except SystemExit as end:
    weigh(end.code or 0)
weigh(0)
"""
"""Runs a program and writes the most memory that it had. `ru_maxrss` would count this process."""


@dataclass
class Case:
    """One command; CPU of each run in milliseconds, and how many bare runs of its turn that is."""

    name: str
    argv: list[str]
    cpu_ms: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    resident_mib: float = 0.0

    def quartiles(self) -> tuple[float, float, float]:
        """Of the ratio to a bare interpreter."""
        low, middle, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return low, middle, high

    def line(self) -> str:
        """As a row of the table."""
        low, middle, high = self.quartiles()
        cpu = f"{statistics.median(self.cpu_ms):7.1f} ms"
        return f"{self.name:36} {cpu}  {middle:5.2f} x ({low:.2f} to {high:.2f})" + (
            f"  {self.resident_mib:5.1f} MiB" if self.resident_mib else ""
        )


def cases(name: str, program: Path, python: str, message_id: str) -> list[Case]:
    """The verbs of one release; the mailbox has one message, so that each run does the same."""
    verbs = {
        "send": ["send", "--as", "alpha", "beta", "the branch is ready"],
        "inbox": ["inbox", "--as", "alpha", "--all"],
        "reply": ["reply", "--as", "alpha", message_id, "done"],
        "status": ["status", message_id],
        "agents": ["agents"],
        "mcp": ["mcp", "--as", "alpha"],  # its stdin is at its end, so it starts and ends
        "--help": ["--help"],
    }
    return [
        Case(f"{verb}, {name}", [python, "-IS", str(program), *more])
        for verb, more in verbs.items()
    ]


def placed(files: Path, folder: Path, python: str) -> Path:
    """Place and compile a release as on a node, and return its launcher."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(files / package, folder / package, ignore=ignored)
    subprocess.run([python, "-m", "compileall", "-q", str(folder)], check=True)
    program = folder / "agent-bus"
    program.write_text(LAUNCHER.format(release=str(folder)), encoding="utf-8")
    return program


def archived(revision: str, folder: Path) -> Path:
    """The files of another revision."""
    argv = ["git", "archive", revision, "files"]
    archive = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True)
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "files"


def cpu_s(argv: list[str], environment: dict[str, str]) -> float:
    """User and system CPU of one run, which must succeed."""
    nothing = os.open(os.devnull, os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1)]
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=streams)
    _, status, used = os.wait4(pid, 0)
    os.close(nothing)
    if status:
        raise RuntimeError(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def resident_mib(argv: list[str], environment: dict[str, str]) -> float:
    """The most resident memory of one run of a launcher."""
    python, flags, *program = argv
    done = subprocess.run(
        [python, flags, "-c", WEIGHED, *program],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1]) / 1024


def measured(found: list[Case], bare: Case, runs: int, environment: dict[str, str]) -> None:
    """Run all in turns; the first turn only warms up."""
    for number in range(runs + 1):
        spent = {case.name: cpu_s(case.argv, environment) * 1000 for case in found}
        if number == 0:
            continue
        for case in found:
            case.cpu_ms.append(spent[case.name])
            case.times.append(spent[case.name] / spent[bare.name])


def goals(found: list[Case]) -> Iterator[Goal]:
    """The goals of this revision's hot verbs."""
    known = {case.name: case for case in found}
    for verb in HOT:
        case = known[f"{verb}, {HERE}"]
        wanted = f"<= {MOST_TIMES:g} x a bare interpreter"
        yield Goal(f"{verb}, CPU", wanted, case.quartiles()[1], MOST_TIMES)
        yield Goal(f"{verb}, resident MiB", f"<= {MOST_MIB:g}", case.resident_mib, MOST_MIB)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--before", metavar="REVISION", help="measure that one beside this one")
    parser.add_argument("--python", default="/usr/bin/python3", help="which a node runs it with")
    wanted = parser.parse_args()
    OUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT.parent) as name, fleet(Path(name)) as (hub, node):
        folder, python = Path(name), wanted.python
        sources = {HERE: ROOT / "files"}
        if wanted.before:
            sources[wanted.before] = archived(wanted.before, folder / "then")
        message_id = hub.send("alpha", "is the branch ready?")["id"]
        bare = Case(BARE, [python, "-I", "-S", "-c", "pass"])
        found = [bare, Case(FLOOR, [python, "-I", "-S", "-c", FLOOR])]
        environment = marked(**node.env())
        for number, (label, files) in enumerate(sources.items()):
            program = placed(files, folder / f"release-{number}", python)
            found += cases(label, program, python, message_id)
        for case in found[2:]:
            peaks = [resident_mib(case.argv, environment) for _ in range(MEMORY_RUNS)]
            case.resident_mib = statistics.median(peaks)
        measured(found, bare, wanted.runs, environment)
        at = machine(folder)
    print(f"CPU of a call, median of {wanted.runs} runs in turns, and how many bare ones that is")
    print("\n".join(case.line() for case in found))
    print("\n".join(goal.line() for goal in goals(found)))
    figures = {"machine": at, "runs": [asdict(case) for case in found]}
    OUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written to {OUT}, at load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
