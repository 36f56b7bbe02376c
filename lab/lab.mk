# The lab's targets; the Makefile includes this. $(PYTHON) is the virtual environment's.
INVENTORY ?= inventory/production
FLEET ?= demo
PYTHON ?= .venv/bin/python
FOLLOW := $(PYTHON) -m lab.follow --

.PHONY: images demo demo-image demo-wheels clean-demo shell send logs open molecule trials lab-killed lifecycle hubs grow faults faults-hubs lab-setup

lab-setup:
	@tools/setup

images: venv lab-setup ## Build the images of the lab's hosts, one per distribution
	@$(FOLLOW) $(PYTHON) -m lab.engine.image

# Side by side, since both mostly wait for others' machines: the environment with the hub's packages, and Debian's
# packages with the image of most hosts. The system's Python is enough for the image. Who is not root is told by the demo.
demo-wheels: .venv/.ansible
	@$(PYTHON) -m lab.wheels

demo-image: lab-setup
	@if [ "$$(id -u)" -eq 0 ]; then python3 -m lab.follow -- python3 -m lab.engine.image bookworm; fi

demo: ## Show it all: 9 hosts as containers, the rollout, every agent woken (INVENTORY=... for your fleet)
	@tools/setup python3-venv
	@$(MAKE) --jobs 2 VENV_PACKAGES=python3-venv demo-wheels demo-image
	@$(FOLLOW) $(PYTHON) -m lab.demo --name $(FLEET) --inventory $(INVENTORY)

clean-demo: .venv/.ansible ## Remove the demo's containers, network, keys and tokens
	@$(PYTHON) -m lab.fleet down --name $(FLEET)

# variables from make's command line are in the recipe's environment, where the shell does not split them
shell: ## Open a root shell on a host of the demo: make shell HOST=t440
	@$(PYTHON) -m lab.probe.look --name $(FLEET) shell "$${HOST-}"

send: ## Send a message as an agent of the demo: make send FROM=... TO=... BODY=...
	@$(PYTHON) -m lab.probe.look --name $(FLEET) send "$${FROM-}" "$${TO-}" "$${BODY-}"

open: ## Forward the demo's dashboard to this machine: make open [ADDRESS=127.0.0.1] [PORT=8091]
	@$(PYTHON) -m lab.probe.page --name $(FLEET) "$${ADDRESS-}" "$${PORT-}"

logs: ## Show what the bus and the watchers logged: make logs [HOST=...]
	@$(PYTHON) -m lab.probe.look --name $(FLEET) logs "$${HOST-}"

molecule: venv lab-setup ## Test the whole production fleet in containers of its own
	@tools/molecule test -s default

trials: venv lab-setup ## Test a bad upgrade and a few faults on four hosts
	@tools/molecule test -s trials

lab-killed: venv lab-setup ## Test that killed runs of the lab leave nothing that hurts the next
	@$(FOLLOW) pytest -n0 -v tests/lab

lifecycle: venv lab-setup ## Test upgrades, rollbacks, moves, rotation, restore and removal on four hosts
	@tools/molecule test -s lifecycle

hubs: venv lab-setup ## Test three hubs on four hosts: their PostgreSQL is made, its primary moves, dies and comes back
	@tools/molecule test -s hubs

grow: venv lab-setup ## Test on four hosts how one hub on SQLite becomes three on PostgreSQL, and one again
	@tools/molecule test -s grow

faults: venv lab-setup ## Test faults under traffic on four hosts: kills, hangs, lost packets, a full disk, clock jumps, power cuts
	@rm -f .cache/faults.md
	@trap 'cat .cache/faults.md 2>/dev/null || true' EXIT; tools/molecule test -s faults

# They have a fleet of their own, unless make's command line names one (FLEET is the demo's by default).
faults-hubs: venv lab-setup $(if $(shell command -v node),client-setup) ## Test faults of three hubs under traffic: ROWS="hub-killed power-lost", MINUTES=5 of random kills, SEED=, KEEP=1
	@rm -f .cache/faults-hubs.md
	@trap 'cat .cache/faults-hubs.md 2>/dev/null || true' EXIT; \
	PYTHONPATH=files $(PYTHON) -m lab.follow --log .cache/faults-hubs.log -- $(PYTHON) -m lab.faults.hubs \
	    $(if $(findstring command,$(origin FLEET)),--name $(FLEET)) $(if $(ROWS),--rows $(ROWS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)
