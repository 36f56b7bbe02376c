"""`python -m lab.fleet VERB`: see lab/fleet/fleet.py."""

import sys

from lab.fleet.fleet import main

sys.exit(main())
