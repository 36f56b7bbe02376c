# The lab's targets; the Makefile includes this. $(PYTHON) is the virtual environment's.
INVENTORY ?= inventory/production
FLEET ?= demo
PYTHON ?= .venv/bin/python

.PHONY: images demo clean-demo shell send logs molecule releases lifecycle faults lab-setup

lab-setup:
	@lab/setup

images: venv lab-setup ## Build the images of the lab's hosts, one a distribution
	@$(PYTHON) -m lab.image

demo: venv lab-setup ## Show it all: 9 hosts as containers, the rollout, every agent woken (INVENTORY=... for your fleet)
	@$(PYTHON) -m lab.demo --name $(FLEET) --inventory $(INVENTORY)

clean-demo: venv ## Remove the demo's containers, network, keys and tokens
	@$(PYTHON) -m lab.fleet down --name $(FLEET)

# what is given on make's command line is in the recipe's environment, safe from the shell's quoting
shell: ## Open a root shell on a host of the demo: make shell HOST=t440
	@$(PYTHON) -m lab.look --name $(FLEET) shell "$${HOST-}"

send: ## Send a message as an agent of the demo: make send FROM=... TO=... BODY=...
	@$(PYTHON) -m lab.look --name $(FLEET) send "$${FROM-}" "$${TO-}" "$${BODY-}"

logs: ## Show what the bus and the watchers logged: make logs [HOST=...]
	@$(PYTHON) -m lab.look --name $(FLEET) logs "$${HOST-}"

molecule: venv lab-setup ## Test the whole production fleet in containers of its own
	@lab/molecule test -s default

releases: venv lab-setup ## Test agents that come and move, upgrades and rollbacks on four hosts
	@lab/molecule test -s releases

lifecycle: venv lab-setup ## Test upgrades, rollbacks, moves, rotation, restore and removal on four hosts
	@lab/molecule test -s lifecycle

faults: venv lab-setup ## Test faults under traffic on four hosts: kills, hangs, lost packets, a full disk, clock jumps, power cuts
	@rm -f .cache/faults.md
	@trap 'cat .cache/faults.md 2>/dev/null || true' EXIT; lab/molecule test -s faults
