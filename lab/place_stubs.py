"""Run on a lab's host: put a program that only logs its arguments where a named one is missing.

Real machines have the programs of their `command` wakers; containers have not, and a rehearsal
shall show that the watcher runs them.
"""

import shutil
import sys
from pathlib import Path

STUB = """\
#!/bin/sh
# the lab's stand-in for a program that real machines have
logger --tag "$0" -- "$*"
"""

for name in sys.argv[1:]:
    if shutil.which(name) is None:
        path = Path("/usr/local/bin", name)  # an absolute name stays what it is
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STUB, encoding="ascii")
        path.chmod(0o755)
        print(path)
