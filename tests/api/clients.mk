# The client library of Node that tests/api runs; those of Python are in requirements-dev.txt.

# Two generations of one library: Debian 12's Node takes 3, and from 5 on its timers do not keep Node alive.
EVENTSOURCES := $(foreach major,3 5,.cache/eventsource/$(major)/node_modules/eventsource/package.json)

.PHONY: client-setup
client-setup: $(EVENTSOURCES)

$(EVENTSOURCES): .cache/eventsource/%/node_modules/eventsource/package.json:
	@mkdir -p .cache/eventsource/$*
	@command -v npm >/dev/null || tools/setup npm
	npm install --silent --no-save --no-audit --no-fund --prefix .cache/eventsource/$* eventsource@$*
