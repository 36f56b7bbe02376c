# Measurements that are no part of `make bench`; included by the Makefile.

WATCHERS ?= 9
# 200 of 9 watchers take half an hour; with 200 watchers, a restart costs as much as 20 with 9
RESTARTS ?= $(if $(filter 9,$(WATCHERS)),200,20)
STREAMS ?= 1000

.PHONY: bench-reconnect
bench-reconnect: setup ## Measure how soon WATCHERS=9 real watchers are back after RESTARTS restarts of a hub (30 minutes; WATCHERS=200; WATCHERS=1000 THREADS=1: stream threads alone; BEFORE=revision beside it)
	nice -n 5 $(BIN)/python -m bench.reconnect --watchers $(WATCHERS) --restarts $(RESTARTS) $(if $(THREADS),--threads) $(if $(BEFORE),--before $(BEFORE))

.PHONY: bench-page
bench-page: setup ## Write the figures of the last make bench, bench AGAINST=... and bench-reconnect into docs/performance.md
	PYTHONPATH=files $(BIN)/python -m bench.page

.PHONY: bench-hub-death
bench-hub-death: setup ## Measure how soon STREAMS streams of a killed hub are at others (2 minutes; POSTGRES=1: hubs on one PostgreSQL)
	nice -n 5 $(BIN)/python -m bench.hub_death --streams $(STREAMS) $(if $(POSTGRES),--postgres)

.PHONY: bench-stores
bench-stores: setup ## Measure the store path on SQLite and PostgreSQL side by side (3 minutes)
	PYTHONPATH=files $(BIN)/python -m bench.stores

.PHONY: bench-hubs
bench-hubs: setup ## Measure one hub on SQLite, PostgreSQL and a quorum of three, and three hubs beside one (as root, 10 minutes)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.txt
	PYTHONPATH=files $(BIN)/python -m bench.hubs

.PHONY: bench-mcp
bench-mcp: setup ## Measure calls by MCP beside the command line and the API, and 200 idle servers (3 minutes)
	PYTHONPATH=files $(BIN)/python -m bench.mcp_cost

RUNS ?= 24

.PHONY: bench-cli
bench-cli: setup ## Measure CPU and memory of the command line's verbs beside a bare interpreter (2 minutes; BEFORE=revision: that release beside it)
	PYTHONPATH=files $(BIN)/python -m bench.cli --runs $(RUNS) $(if $(BEFORE),--before $(BEFORE))
