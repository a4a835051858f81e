# candor: set up and run everything from a fresh clone. `make help` lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench experiments clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY)  ## make the virtual environment with everything in it

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "candor needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $(INSTALLED)

$(READY): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(INSTALLED)  ## run the main job on the built-in sandbox and leave runs/demo/report.html
	$(BIN)/candor demo

test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: $(READY)  ## lint, strict types, imports follow the data flow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

bench: $(READY)  ## measure what docs/performance.md claims, quickly; see benchmarks/ for the full runs
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/step.py --quick
	$(BIN)/python benchmarks/evaluate.py --quick
	$(BIN)/python benchmarks/growth.py --quick
	$(BIN)/python benchmarks/bootstrap.py --turns 3 --loop-resamples 50
	$(BIN)/python benchmarks/wiki.py --pages 5000

experiments: $(INSTALLED)  ## run the sandbox experiments of docs/objective.md (about an hour on two cores)
	$(BIN)/candor run sandbox/objectives --jobs 2
	$(BIN)/candor run sandbox/ablations --jobs 2

clean:  ## remove the virtual environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
