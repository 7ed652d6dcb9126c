# make repro | pull | release | explore | paper | test | test-slow | torture | mutants | lint | check | fix | docs | bench | env | env-peers | env-explore | env-ray | locks | clean
# PYTHON=/path/to/python3.12 make env  builds the environment with another interpreter.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
EXTRAS := peers explore browser ray mutants
CODE := mazewm stages tests $(wildcard trust benchmarks examples)

# For what starts `python` by name, as the commands of dvc.yaml do.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
# By file, in the order in which tests/conftest.py puts them; each process on one core, as the stages are, so that they do not wait for one another.
PYTEST := $(IN_VENV) OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

export PYTHONPATH :=
# Where it is set, each process compiles what it imports: seconds for each of the hundreds that stages and tests start.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: env $(EXTRAS:%=env-%) env-tests repro pull release explore paper test test-slow torture mutants lint check fix docs bench locks clean
.DEFAULT_GOAL := repro

# pip's own words are kept in a log, and shown when it fails. Modules are compiled when they are first imported: most never are, and compiling all
# of them takes as long as the rest of the installation.
INSTALL = $(BIN)/python -m pip install -q --no-compile $(1) >>.venv/pip.log 2>&1 || { tail -n 20 .venv/pip.log; echo "error: pip could not install $(1); all it said is in .venv/pip.log."; exit 1; }

env: $(STAMP)
	@:

# An environment whose installation was interrupted still has the file `unfinished`, and is made anew.
$(STAMP): requirements.lock requirements-torch.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "error: $(PYTHON): not found; mazewm needs Python 3.11 or newer (PYTHON=/path/to/python make env)."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1); mazewm needs Python 3.11 or newer (PYTHON=/path/to/python make env)."; exit 1; }
	@if [ -e .venv/unfinished ]; then rm -rf .venv; fi
	@rm -f $(STAMP) $(EXTRAS:%=.venv/installed-%)
	@mkdir -p .venv && touch .venv/unfinished
	@echo "installing the packages of requirements.lock into .venv (minutes, the first time)"
	@"$(PYTHON)" -m venv .venv
	@$(call INSTALL,--require-hashes -r requirements.lock)
	@$(call INSTALL,-r requirements-torch.lock)
	@$(call INSTALL,--no-deps --no-build-isolation -e .)
	@rm .venv/unfinished && touch $(STAMP)

# Beside the environment: the peers, the explorer, what drives a browser in its tests, Ray, what changes code to see whether tests notice.
$(EXTRAS:%=env-%): env-%: .venv/installed-%
	@:

$(EXTRAS:%=.venv/installed-%): .venv/installed-%: $(STAMP) requirements-%.lock
	@echo "installing the packages of requirements-$*.lock into .venv"
	@$(call INSTALL,--require-hashes -r requirements.lock -r requirements-$*.lock)
	@touch $@

# All of these that tests use, in one call of pip.
TESTED := $(filter-out mutants,$(EXTRAS))
env-tests: $(STAMP)
	@echo "installing the packages of $(TESTED:%=requirements-%.lock) into .venv"
	@$(call INSTALL,--require-hashes -r requirements.lock $(TESTED:%=-r requirements-%.lock))
	@touch $(TESTED:%=.venv/installed-%)

# A page on which connections are changed inside a model; EXPLORE_FLAGS='--port 9000 --no-browser' are handed on.
explore: env-explore
	@$(BIN)/python -m mazewm.explore $(EXPLORE_FLAGS)

# All runs side by side, or one: make repro RUN=rotary-all-0. JOBS=1 make repro: one at a time.
# ENGINE=ray make repro: on a Ray cluster (docs/scale.md). Without git (a source archive), dvc works once it is told so.
repro: $(if $(filter ray,$(ENGINE)),env-ray,env)
	@[ -e .git ] || $(BIN)/python -m dvc config --local core.no_scm true
	@$(BIN)/python -m stages.launch $(RUN)

# Released results from released/ into artifacts/, and back again after a new run; dvc.yaml says which.
pull: env
	@[ -e .git ] || $(BIN)/python -m dvc config --local core.no_scm true
	@$(BIN)/python -m stages.pull

release: env
	@$(BIN)/python -m stages.release

# Scale paper, for one GPU: a plain script of commands, which skips what is there, so that a call that was stopped goes on.
# DVC makes the script once (make $(PAPER)/run.sh); a machine that has the script and torch needs no DVC: PAPER_PYTHON=python3 make paper.
# PAPER_SET='scales.paper.training.compile=false' sets parameters; PAPER=folder says where.
PAPER ?= artifacts/paper
PAPER_PYTHON ?= $(BIN)/python
paper: $(PAPER)/run.sh
	@"$(PAPER_PYTHON)" -c 'import os, sys; from mazewm.model import devices; name = devices.best().type; print("device:", name); sys.exit(name == "cpu" and "MAZEWM_DEVICE" not in os.environ)' || \
		{ echo "error: scale paper takes days without a GPU; expected one that this torch finds, or MAZEWM_DEVICE=cpu to go on without."; exit 1; }
	@OPENBLAS_NUM_THREADS="$$(getconf _NPROCESSORS_ONLN)" PYTHONPATH="$(CURDIR)" PYTHON="$$("$(PAPER_PYTHON)" -c "import sys; print(sys.executable)")" sh $(PAPER)/run.sh
	@rm -rf metrics/paper.part && mkdir -p metrics && cp -R $(PAPER)/metrics/paper metrics/paper.part
	@rm -rf metrics/paper && mv metrics/paper.part metrics/paper
	@echo "metrics and pictures of scale paper are in metrics/paper/"

$(PAPER)/run.sh: | env
	@mkdir -p $(PAPER)
	@$(BIN)/python -m stages.plain_script --set scale=paper --set results=metrics/paper $(PAPER_SET:%=--set %) >$@.part
	@mv $@.part $@

# With the extras that are installed, brought up to their locks; in CI all of them are.
test: env $(wildcard $(TESTED:%=.venv/installed-%))
	@$(PYTEST) -m "not slow"

# Tests of minutes each, of what others show in small.
test-slow: env $(wildcard $(TESTED:%=.venv/installed-%))
	@$(PYTEST) -m slow

# Kills, Ctrl-C, repetitions and loads, in clones (docs/trust.md); TORTURE_FLAGS='kills --kills 20' are handed on. It takes an hour or two.
torture: env
	@$(BIN)/python -m trust $(TORTURE_FLAGS)

# Small changes of the code that decides what is said, and whether its tests notice (docs/trust.md); MUTANTS_FLAGS='--sample 20' are handed on.
mutants: env-mutants
	@$(BIN)/python -m trust.mutants $(MUTANTS_FLAGS)

lint: env
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/python -m mypy

check: lint
	@$(PYTEST)

fix: env
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

# README and pages of docs/ from their templates and the figures in metrics/.
docs: env
	@$(BIN)/python -m stages.fill_docs

# An environment of its own: the peers bring a hundred packages that nothing else needs. requirements-bench.lock says why --no-deps.
BENCH := .venv-bench
bench: $(BENCH)/installed
	@$(BENCH)/bin/python -m benchmarks
	@$(BENCH)/bin/python -m benchmarks.growth

$(BENCH)/installed: requirements.lock requirements-torch.lock requirements-peers.lock requirements-bench.lock
	@echo "installing the peers of requirements-bench.lock into $(BENCH) (minutes, the first time)"
	@rm -rf $(BENCH) && "$(PYTHON)" -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -q --require-hashes -r requirements.lock
	@$(BENCH)/bin/python -m pip install -q -r requirements-torch.lock
	@$(BENCH)/bin/python -m pip install -q --require-hashes -r requirements.lock -r requirements-peers.lock
	@$(BENCH)/bin/python -m pip install -q --no-deps --require-hashes -r requirements-bench.lock
	@touch $@

# requirements.lock anew from the ranges of pyproject.toml, for all systems, keeping versions that fit; needs uv. The packages that only torch's
# builds for CUDA bring are left to torch. The other locks are trees that were frozen beside it: new hashes for what they name.
UV := uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate
ONLY_TORCH := $(shell sed -n 's/^# only torch: //p' requirements.lock)
locks:
	@command -v uv >/dev/null || { echo "error: uv: not found; make locks needs it (pip install uv)."; exit 1; }
	@sed -n '/^#/p' requirements.lock >.venv/head
	@$(UV) pyproject.toml --extra dev --python-version 3.11 $(ONLY_TORCH:%=--no-emit-package %) --constraint requirements.lock --constraint requirements-torch.lock --output-file .venv/lock
	@cat .venv/head .venv/lock >requirements.lock
	@for extra in $(EXTRAS) bench; do \
		sed -n '/^#/p' requirements-$$extra.lock >.venv/head && \
		$(UV) requirements-$$extra.lock --no-deps --python-version 3.11 --output-file .venv/lock && \
		cat .venv/head .venv/lock >requirements-$$extra.lock || exit 1; \
	done

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find mazewm stages tests trust benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
