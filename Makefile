# `make help` lists everything. Two commands do it all on a fresh Debian: `make demo`, `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Python without the ending .py
PROGRAMS := tools/side-by-side lab/gateway_standin/openclaw
PYTHON_CODE := files lab library filter_plugins action_plugins lookup_plugins roles playbooks molecule tests docs bench
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The fleet that demo, preflight and check look at: a folder or a file.
INVENTORY ?= inventory/production
# One process per core, which takes the next test that waits: most tests wait for processes of their own.
SPREAD := --numprocesses auto --dist worksteal
# Targets that are parts of `make test` keep how long each of their tests took.
TESTED = AGENT_BUS_PART=$@ $(FOLLOW) pytest

include lab/lab.mk
include lab/versions.mk
include tests/e2e/e2e.mk
include tests/browser/browser.mk
include tests/api/clients.mk
include tests/a2a/a2a.mk
include tests/mcp/mcp.mk
include bench/bench.mk

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## *' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/.complete: requirements-dev.txt
	@tools/setup $(VENV_PACKAGES)
	@echo "== Python environment (about 30 s, once) =="
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# The part of it that rolls out and runs the lab: enough for the demo, in a third of the time.
$(VENV)/.ansible: requirements-ansible.txt
	@tools/setup $(VENV_PACKAGES)
	@echo "== Ansible's Python environment (about 10 s, once) =="
	@[ -x $(BIN)/python ] || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ansible.txt
	@touch $@

# Debian packages that the environment waits for: all of tools/setup, unless somebody else sees to them.
VENV_PACKAGES ?=

.PHONY: setup
setup: $(VENV)/.complete ## Install what control node and checks need into .venv

.PHONY: venv
venv: setup

.PHONY: preflight
preflight: setup ## Check INVENTORY without touching any host
	ansible-playbook -i $(INVENTORY) playbooks/preflight.yml

.PHONY: check
check: setup ## What to run before every commit: lint, types, unit tests (90 s)
	@rm -rf .cache/durations
	@tools/side-by-side unit lint-ansible lint-code
	@python -m tests.slowest

.PHONY: test
test: ## Set up all that is needed and run every check (WITH_OPENCLAW=1: the real OpenClaw, too)
	@$(MAKE) setup
	@rm -rf .cache/durations
	@tools/side-by-side "images molecule" trials integration unit api browser crash mcp a2a "lint-code lint-ansible"
	@$(if $(WITH_OPENCLAW),$(MAKE) e2e-openclaw)
	@python -m tests.slowest
	@echo "== make test: all passed. Not run here, by name: $(NOT_RUN) =="
	@cat .cache/lab/not-run-* 2>/dev/null || true

NOT_RUN := make lifecycle (upgrades, moves, rotation, restore, a lost hub, the rule for the port on four hosts, 9 minutes), \
    make faults (all faults of the table under traffic, 6 minutes), \
    make faults-hubs (each way in which one of three hubs may fail, under traffic, 25 minutes), \
    make hubs (three hubs and their PostgreSQL, 7 minutes), \
    make grow (one hub becomes three, and one again, 15 minutes), make lab-killed (killed runs of the lab, 2 minutes), \
    make soak (1,000 crash cycles, a cut of 2 minutes, long property tests, large files both ways), make stress \
    (every test file beside other work), make e2e-openclaw (real OpenClaw, 4 minutes), \
    make e2e-agents (real Claude Code, Codex, Gemini CLI and OpenClaw through MCP), make bench

.PHONY: lint lint-code lint-ansible
lint: ## Format, lint, types, layers, YAML, Ansible
	@tools/side-by-side lint-code lint-ansible

lint-code: setup
	ruff format --check --quiet .
	ruff check --quiet .
	yamllint --strict .
	PYTHONPATH=files lint-imports --no-cache | tail -n 8
	mypy $(PYTHON_CODE) $(PROGRAMS)

lint-ansible: setup
	$(FOLLOW) ansible-lint --offline --strict

.PHONY: format
format: setup ## Format all Python code
	ruff format .
	ruff check --fix .

.PHONY: unit
unit: setup ## Unit and property tests
	$(TESTED) $(SPREAD) tests/unit

.PHONY: api
api: setup client-setup ## The API, asked of real hubs, and the contract of the store
	$(TESTED) $(SPREAD) tests/conformance tests/api tests/monitoring

.PHONY: integration
integration: setup ## Hubs, watchers, command lines and gateways together, as real processes
	@tools/oldest-python .cache/oldest-python
	@command -v node >/dev/null || tools/setup nodejs
	$(TESTED) $(SPREAD) tests/integration

.PHONY: crash
crash: setup ## Kills, full disks, bad peers, cut networks and jumping clocks, against real processes
	@tools/oldest-python .cache/oldest-python
	$(TESTED) $(SPREAD) tests/crash

.PHONY: soak
soak: setup ## What is too long for `make test` (about an hour)
	AGENT_BUS_CRASH_CYCLES=1000 pytest -s tests/crash/test_crash.py
	AGENT_BUS_PARTITION_S=120 pytest tests/crash/test_partition.py
	AGENT_BUS_HYPOTHESIS=soak pytest tests/unit/hub tests/conformance/store
	AGENT_BUS_LARGE_FILES=1 pytest -n0 tests/integration/test_large_file.py

.PHONY: stress
stress: setup ## Run test files beside busy loops and a writer that syncs: FILES="tests/api ..." TIMES=5
	@tools/oldest-python .cache/oldest-python
	python -m tests.stress --times $(or $(TIMES),5) $(FILES)

.PHONY: lock
lock: setup ## Renew the locked requirements from requirements*.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -o requirements.txt requirements.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -o requirements-postgres.txt requirements-postgres.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -o requirements-channels.txt requirements-channels.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -c requirements-postgres.txt \
	    -o requirements-patroni.txt requirements-patroni.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -c requirements.txt -c requirements-postgres.txt -c requirements-channels.txt \
	    -o requirements-dev.txt requirements-dev.in
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" -c requirements-dev.txt -o requirements-ansible.txt requirements-ansible.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -c requirements.txt -c requirements-dev.txt \
	    -o bench/requirements.txt bench/requirements.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -o tests/a2a/requirements.txt tests/a2a/requirements.in
	uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
	    --custom-compile-command "make lock" -o tests/mcp/requirements.txt tests/mcp/requirements.in

.PHONY: clean
clean: clean-demo ## Remove the demo fleet, the environment and all caches
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: bench
bench: setup ## Measure the hub beside JetStream, Redis, Mosquitto, FastAPI and the baseline (quiet machine, about 20 minutes; ROWS=load,key; AGAINST=revision: beside that one instead, ROUNDS=9)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.txt
	PYTHONPATH=files python -m bench.run $(if $(AGAINST),--against $(AGAINST) --goals) $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MARKDOWN),--markdown)

.PHONY: bench-rollout
bench-rollout: setup lab-setup ## Measure a first rollout of INVENTORY and one without changes, in the lab (about 5 minutes; HOSTS=50: a fleet of that many)
	$(BIN)/python -m bench.rollout --inventory $(INVENTORY) $(if $(HOSTS),--hosts $(HOSTS))
