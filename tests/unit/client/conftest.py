from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile(  # on small shared machines, time says nothing about the code
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")
