# Measurements that are no part of `make bench`; included by the Makefile.

WATCHERS ?= 9
RESTARTS ?= 200

.PHONY: bench-reconnect
bench-reconnect: setup ## Measure how soon WATCHERS real watchers are back after RESTARTS restarts of a hub (about 30 minutes; BEFORE=revision: that release beside it)
	nice -n 5 $(BIN)/python -m bench.reconnect --watchers $(WATCHERS) --restarts $(RESTARTS) $(if $(BEFORE),--before $(BEFORE))
