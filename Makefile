# Every target makes the environment that it needs. Beforehand there are only Python 3.11 or newer,
# make, and a package index. Another Python: make test PYTHON=python3.13

PYTHON ?= python3

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet
# What a compiled build leaves between the sources.
BUILT := src/pellucid/*.so src/pellucid/*.pyd src/pellucid/*.c src/pellucid/*.html
CODE := $(wildcard src tests examples tools bench fuzz attack)

# The environment is uncompiled, whatever the shell says. tools/compiled_suite.py and
# tools/test_all.py make others.
export PELLUCID_COMPILE := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Settings of another environment that would reach into this one.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
# Stamps: the environment is there; what the demo needs is in it; what development needs is in it.
MADE := $(VENV)/.made-$(VERSION)
BASE := $(VENV)/.base
DEV := $(VENV)/.dev

# An environment that was moved, copied or lost its Python is made again.
ifneq ($(wildcard $(MADE)),)
ifneq ($(shell cat $(MADE)):$(shell $(RUN) -c 'import pip; print("ok")' 2>/dev/null),$(CURDIR):ok)
$(shell rm -f $(MADE))
endif
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: setup demo test check coverage bench fuzz test-all twisted-suite application clean help python soak attack

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r name text; do printf '%-20s  %s\n' "$$name" "$$text"; done

setup: $(DEV) ## make .venv, with all that development needs
	@echo "Ready: . $(VENV)/bin/activate"

demo: $(BASE) ## see it work
	@$(RUN) -m examples.demo

test: $(DEV) ## run the whole suite on one Python, and what is compiled on that build too
	@$(RUN) tools/compiled_suite.py --build
	@$(RUN) -m pytest
	@$(RUN) tools/compiled_suite.py

check: $(DEV) ## format, lint, types and architecture
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy $(CODE)
	$(RUN) -m pytest --quiet tests/test_architecture.py

coverage: $(DEV) ## hold each core module to 100 % by its own tests
	@$(RUN) tools/core_coverage.py

bench: python ## measure, beside others: .venvs/bench is made for it (BENCH=--quick: in two minutes)
	@$(PYTHON) -m bench $(BENCH)

fuzz: python ## fuzz what reads a stranger's bytes, for a minute (FUZZ="--time 600 --sanitize")
	@$(PYTHON) -m fuzz $(FUZZ)

soak: $(DEV) ## ten minutes of 200 clients that die at random (SOAK="--minutes 1 --clients 20")
	@$(RUN) tools/soak.py $(SOAK)

attack: python ## do to it, and to others beside it, what strangers can do (ATTACK=--quick: shorter)
	@$(PYTHON) -m attack $(ATTACK)

twisted-suite: $(DEV) ## run Twisted's own tests for spread against the Twisted face
	@$(RUN) tools/twisted_suite.py

application: python ## run Buildbot's tests on twisted.spread and on the Twisted face
	@$(PYTHON) tools/pb_application.py

test-all: python ## run the suite on every Python here, uncompiled and compiled
	@PELLUCID_FAULTS=all $(PYTHON) tools/test_all.py

clean: ## remove what was made here
	rm -rf $(VENV) .venvs build dist src/*.egg-info htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	rm -f $(BUILT)
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@if [ -z "$(VERSION)" ]; then \
	  echo "error: '$(PYTHON)' does not run. Name a Python 3.11 or newer: make PYTHON=python3.13 ..." >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Pellucid needs Python 3.11 or newer, and '$(PYTHON)' is $(VERSION)." >&2; \
	  echo "Name another: make PYTHON=python3.13 ..." >&2; exit 1; }

$(MADE): | python
	@echo "Making $(VENV) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "$(CURDIR)" > $@

$(BASE): $(MADE) pyproject.toml setup.py
	@echo "Installing pellucid into $(VENV)"
	@rm -f $(BUILT)
	@$(PIP) install --editable '.[cli]'
	@touch $@

$(DEV): $(MADE) pyproject.toml setup.py
	@echo "Installing pellucid and its development tools into $(VENV)"
	@rm -f $(BUILT)
	@$(PIP) install --editable '.[test,check]'
	@touch $(BASE) $@
