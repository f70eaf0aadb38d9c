# Every target installs what it needs into .venv first; a second time that takes no time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin

.PHONY: help install demo demo-3d test test-slurm test-browser lint

help:  ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/make \1\t\2/' | expand -t 16

install: .venv/installed  ## Make .venv from requirements.txt (Python 3.11 or 3.12; PYTHON=... to choose one)

.venv/installed: requirements.txt
	@for python in $(PYTHON) python3.11 python3.12 python3 python; do \
	    if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' \
	        2> /dev/null; then break; fi; \
	    python=; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Error: no Python 3.11 or 3.12 with venv was found; name one: make install PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	fi; \
	echo "Installing into .venv with $$python; this takes minutes"; \
	"$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# $(call run,ORGANISM,OPTIONS): the whole workflow for one organism, then Snakemake's own report if anything is newer
define run
$(BIN)/snakemake results/$(1)/report.html $(2)
@if [ ! results/$(1)/report/report.zip -nt results/$(1)/evaluation/summary.json ]; then \
    mkdir -p results/$(1)/report; \
    $(BIN)/snakemake results/$(1)/evaluation/summary.json --report results/$(1)/report/report.zip $(2); \
fi
@$(BIN)/python -m json.tool results/$(1)/evaluation/summary.json
@echo
@echo "Summary: results/$(1)/evaluation/summary.json"
@echo "Figures: results/$(1)/figures"
@echo "Data:    results/$(1)/synthetic (images and masks; README.md is their card)"
@echo "Report:  results/$(1)/report.html"
@echo "Details: results/$(1)/report/report.zip (unpack it and open report.html)"
endef

demo: install  ## Train, generate, segment and score on real HeLa frames (2D), on two CPU cores
	$(call run,hela,)

demo-3d: install  ## The same on real CHO stacks (3D)
	$(call run,cho,--configfile resources/demo-3d.yaml)

test: install  ## Run all tests; list the modules of which they reach less than 95 %, and fail if it is so of the library
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadgroup --cov --cov-report=
	@$(BIN)/coverage report --sort cover --fail-under 95 | awk 'NR == 1 || /^(TOTAL|Coverage)/ || $$NF + 0 < 95 && /%$$/'

test-slurm: install  ## Run the tests on a real SLURM, which is made from this machine (as root, Debian or Ubuntu)
	bash tests/slurm/install.sh
	$(BIN)/python -m pytest -m slurm --durations 0 tests/slurm

test-browser: install  ## Run the tests in headless Chromium (it is installed as root on Debian)
	bash tests/browser/install.sh
	$(BIN)/python -m pytest -m browser tests/browser

lint: install  ## Check the style of everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/codespell
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports --no-cache
	$(BIN)/mypy
