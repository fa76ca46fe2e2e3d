# The front door. Every target sets up what it needs: a virtual environment with uv, from python3.11+ and make alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := core/testing $(wildcard runtimes/* storage_backends/* plugins/*)
EDITABLE := -e .[yaml,zstd] $(foreach member,$(MEMBERS),-e ./$(member))
READY := $(VENV)/.ready
MIN_BRANCHES := 90
PYTEST := $(BIN)/python -m pytest
# Two more than there are processors: tests wait for daemons and bots.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
PARALLEL := -n $(WORKERS) --maxprocesses 4 --dist loadfile
# Another machine is emulated in some minutes where little else runs.
MACHINE := tests/faults/test_cgroup2_machine.py

.DEFAULT_GOAL := help
INTO ?= ~/botdock

.PHONY: help setup install demo test drills lint bench docs version images clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## Create the virtual environment with everything in it

$(READY): pyproject.toml constraints.txt $(wildcard */*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "botdock needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || test -x $(BIN)/python || \
		{ echo "$(PYTHON) cannot create virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "setup: installing botdock, its plugins and the tools for tests into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -b constraints.txt $(EDITABLE) --group dev
	@touch $@

install: ## Install the command and all plugins into a virtual environment of yours: make install INTO=~/botdock
	@$(PYTHON) -m venv $(INTO)
	@$(INTO)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(INTO)/bin/uv pip install --quiet --no-editable --python $(INTO)/bin/python -c constraints.txt -b constraints.txt \
		'.[yaml,zstd]' $(addprefix ./,$(MEMBERS))
	@echo "botdock is in $(INTO)/bin; to call it by its name: . $(INTO)/bin/activate"

demo: $(READY) ## Run a bot in each language
	@$(BIN)/python examples/demo.py

# Many short processes are started: what one has compiled, the others need not. Empty means unset.
test drills: export PYTHONDONTWRITEBYTECODE =

# In the order of `testpaths`, where the slow files are the first: else one of them is the last, and its worker alone.
# What fails runs once more; what passes then is printed as RERUN with its failure: a fault to mend. Drills run once.
test: lint images ## Check everything, on a real Docker where one can be had
	@$(PYTEST) $(PARALLEL) --no-loadscope-reorder --reruns 1 --rerun-show-tracebacks -raR \
		--cov --cov-report json --min-branch-coverage $(MIN_BRANCHES)

drills: images docs ## Run the drills in full: hundreds of kills, gigabytes, minutes of waiting; then on a newer Docker, and on cgroup v2
	@DRILLS=full $(PYTEST) $(PARALLEL) --ignore $(MACHINE) \
		tests/faults tests/integration tests/property tests/real_bots core plugins runtimes storage_backends
	@DRILLS=full BOTDOCK_TEST_DOCKER=trixie $(PYTEST) $(PARALLEL) -m docker \
		tests/faults tests/integration plugins/docker_engine/tests
	@DRILLS=full $(PYTEST) -n 0 $(MACHINE)

lint: $(READY) ## Check form, types and the arrows between packages
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

images: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m testbed images

bench: $(READY) ## Measure, each number against what it is compared with
	@for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(READY) ## Build the documentation as a site, in .cache/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "docs: open .cache/site/index.html"

version: ## Move all distributions to one version: make version V=0.2.0
	@echo '$(V)' | grep -Eq '^[0-9]+\.[0-9]+\.[0-9]+$$' || { echo "name the version: make version V=0.2.0" >&2; exit 2; }
	@sed -i 's/^version = ".*"/version = "$(V)"/' pyproject.toml $(MEMBERS:%=%/pyproject.toml)

clean: ## Delete the virtual environment and what tools left here
	rm -rf $(VENV) .cache .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
