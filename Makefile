# matdisc: `make discover` runs the titanium campaign, `make test` the tests; both set everything up.
# Needs Python 3.11+ with venv, a C++ compiler and a package registry. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
CONFIG ?= configs/discover/titanium.yaml
CASE ?= features

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# Data files that were downloaded before; tried first, nothing depends on them.
ifneq ($(wildcard ../shared/datasets),)
export MATDISC_DATA_MIRROR ?= $(abspath ../shared/datasets)
endif

.DEFAULT_GOAL := help
.PHONY: help venv venv-dev venv-engines discover test test-all lint bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(VENV)/.installed ## set up .venv to run matdisc
venv-dev: $(VENV)/.installed-dev ## set up .venv to develop matdisc
venv-engines: $(VENV)/.installed-engines ## add GPAW (DFT) and CHGNet to .venv

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) found; install Python 3.11 or newer, or give PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old; matdisc needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing matdisc and the tested set of packages into $(VENV) (a few minutes the first time)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e '.[dev]'
	@touch $@

# GPAW compiles a C extension; these settings need a C++ compiler and nothing else.
$(VENV)/.installed-engines: $(VENV)/.installed
	printf "compiler='g++'\nmpi=False\nnoblas=True\nnolibxc=True\nlibraries=[]\n" > $(VENV)/siteconfig.py
	GPAW_CONFIG=$(abspath $(VENV)/siteconfig.py) $(INSTALL) -e '.[dft,potentials]'
	@touch $@

discover: venv ## run the titanium campaign, from brief to report
	$(BIN)/matdisc discover run $(CONFIG) $(ARGS)

test: venv-dev ## run the fast tests
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: venv-dev venv-engines ## run every test, with both further engines
	$(BIN)/python -m pytest $(ARGS)

lint: venv-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv ## measure a benchmark case: make bench CASE=features
	$(BIN)/matdisc bench $(CASE) --size smoke $(ARGS)

clean: ## remove the environment and caches (runs are kept)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
