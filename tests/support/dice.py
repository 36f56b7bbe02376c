"""The profiles of property tests; importing this module loads one."""

from __future__ import annotations

import os

import hypothesis

SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile(  # small shared machines: time says nothing about the code
    "shared", deadline=None, suppress_health_check=SLOW
)
hypothesis.settings.register_profile(  # make soak: hours of dice instead of seconds
    "soak", deadline=None, suppress_health_check=SLOW, max_examples=5000, stateful_step_count=200
)
hypothesis.settings.load_profile(os.environ.get("AGENT_BUS_HYPOTHESIS", "shared"))
