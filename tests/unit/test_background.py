"""A run of the tests that a script put into the background."""

from __future__ import annotations

import subprocess
import sys

TELL = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
IN_BACKGROUND = 'trap \'\' INT; exec "$0" -m pytest -p no:cacheprovider -n0 -q "$1"'


def test_an_interrupt_ends_what_a_test_starts() -> None:
    told = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"


def test_that_holds_in_the_background_too() -> None:
    test = f"{__file__}::test_an_interrupt_ends_what_a_test_starts"
    argv = ["sh", "-c", IN_BACKGROUND, sys.executable, test]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
