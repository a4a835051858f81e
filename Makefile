# candor: set up and run everything from a fresh clone. `make help` lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
TINKER ?= .venv-tinker
# Bytecode is made for what is imported, not for everything (--no-compile); where the environment forbids that, every start
# of Python would compile torch anew, ten seconds each.
unexport PYTHONDONTWRITEBYTECODE
PIP := pip install --quiet --disable-pip-version-check --no-compile
# One thread in each of the processes that test, unless the caller says otherwise: they share the cores. A process goes on
# with the tests that lie beside its last, so that what a module's tests share is mostly made once.
test test-all test-tinker test-trainers: export OMP_NUM_THREADS ?= 1
TEST_OPTIONS ?=
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 16 --dist worksteal $(TEST_OPTIONS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-tinker test-trainers check docs release bench experiments more-experiments base-model real warm-start clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(READY)  ## make the virtual environment with everything in it

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "candor needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -c constraints.txt -e .
	touch $(INSTALLED)

$(READY): $(INSTALLED)
	$(BIN)/$(PIP) -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(INSTALLED)  ## run the main job on the built-in sandbox and leave runs/demo/report.html
	$(BIN)/candor demo

test: $(READY)  ## run the tests on all cores, but for the slow ones
	$(PYTEST) -m "not slow"

test-all: $(READY)  ## run all tests, the slow ones too
	$(PYTEST)

test-tinker: $(TINKER)/.ready  ## test the Tinker engine against a real SkyRL server, in an environment of its own
	PYTHONPATH=$(TINKER)/newest $(TINKER)/bin/python -m pytest -q $(TEST_OPTIONS) tests/engines/tinker/test_sdk.py & newest=$$!; \
	  $(TINKER)/bin/python -m pytest -n 2 --maxschedchunk 1 $(TEST_OPTIONS) tests/engines/tinker tests/contract -k tinker && \
	  wait $$newest

test-trainers: $(TINKER)/.ready  ## test split credit through SkyRL's and verl's own classes, in the same environment
	$(TINKER)/bin/python -m pytest -q $(TEST_OPTIONS) tests/adapters/test_skyrl_trainer.py
	$(TINKER)/bin/python -m pytest -q $(TEST_OPTIONS) tests/adapters/test_verl_trainer.py

# SkyRL asks for older versions of transformers and peft than candor, for much that its server never loads, and for Python
# 3.12, which its code can do without: it comes without its own requirements, which tests/engines/tinker/requirements.txt names. The newest SDK, which does not speak with that
# server, lies apart: its names and types alone are tested.
$(TINKER)/.ready: pyproject.toml constraints.txt tests/engines/tinker/requirements.txt tests/adapters/trainers.txt
	$(PYTHON) -m venv $(TINKER)
	$(TINKER)/bin/$(PIP) --no-deps --upgrade --target $(TINKER)/newest tinker==0.38.0 & newest=$$!; \
	  $(TINKER)/bin/$(PIP) -c constraints.txt torch pytest -r tests/engines/tinker/requirements.txt -e . && \
	  $(TINKER)/bin/$(PIP) --no-deps --ignore-requires-python skyrl==0.4.0 && \
	  $(TINKER)/bin/$(PIP) --no-deps -r tests/adapters/trainers.txt && \
	  wait $$newest
	touch $(TINKER)/.ready

check: $(READY)  ## lint, strict types, imports follow the data flow, the site builds without a warning
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py
	$(SITE)

docs: $(READY)  ## build the documentation as a site into build/site
	$(SITE)
	@echo "open build/site/index.html"

release: $(READY)  ## build what is uploaded to the package index into dist/, and check it; the upload itself is yours
	$(BIN)/python tools/release.py

bench: $(READY)  ## measure what docs/performance.md claims, quickly; see benchmarks/ for the full runs
	$(BIN)/python benchmarks/step.py --quick
	$(BIN)/python benchmarks/evaluate.py --quick
	$(BIN)/python benchmarks/growth.py --quick
	$(BIN)/python benchmarks/bootstrap.py --turns 3 --loop-resamples 50
	$(BIN)/python benchmarks/wiki.py --pages 5000

experiments: $(INSTALLED)  ## run the sandbox experiments of docs/objective-results.md into runs/experiments.html (some eight hours on two cores)
	$(BIN)/candor run sandbox/objectives --jobs 2
	$(BIN)/candor run sandbox/all-domains --jobs 2
	$(BIN)/candor run sandbox/ablations --jobs 2
	$(BIN)/candor run sandbox/field --jobs 2
	$(BIN)/candor report runs/objectives runs/all-domains runs/ablations runs/field --out runs/experiments.html

more-experiments: $(INSTALLED)  ## the same for what carries a statement to other domains, and for base models that lack something (some three hours more)
	$(BIN)/candor run sandbox/transfer --jobs 2
	$(BIN)/python benchmarks/base_models.py --jobs 2
	$(BIN)/candor report runs/transfer runs/bases --out runs/more-experiments.html

base-model: $(INSTALLED)  ## make the sandbox's base model anew and pack it, after a change of what makes it (three minutes)
	$(BIN)/python -c 'from candor import progress; from candor.engines import load; from candor.sandbox import model; \
	  print(load.sandbox_model(progress.Reporter(), model.PACKAGED))'
	@echo "remove the folders beside it, which earlier code made"

# DATA names a folder with the official files; without it they are fetched into the user's cache.
real: $(INSTALLED)  ## train SmolLM2 on real claims and leave runs/smollm2-quick/report.html; the first time fetches model and data
	$(if $(DATA),,$(BIN)/candor data fetch vitaminc)
	$(if $(DATA),,$(BIN)/candor data fetch climatefever)
	$(BIN)/candor run real/quick --jobs 2 $(addprefix --data-dir ,$(DATA))

warm-start: $(INSTALLED)  ## make the warm start of SmolLM2 anew and pack it (hours); DATA names a folder with VitaminC
	$(BIN)/candor run real/warm-start $(addprefix --data-dir ,$(DATA))
	$(BIN)/python -c 'from pathlib import Path; from candor.runs import warm_start; \
	  print(warm_start.pack(Path("runs/smollm2-vitaminc"), warm_start.PACKAGED, "smollm2-vitaminc"))'

clean:  ## remove the virtual environments and caches, not the runs
	rm -rf $(VENV) $(TINKER) .pytest_cache .mypy_cache .ruff_cache
