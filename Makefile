# Two commands do everything on a fresh machine: `make demo` and `make test`. The others are for daily work.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where pip finds wheels on this machine, one option per place; uv does not read pip's configuration, so it is told.
FIND_LINKS = $$($(BIN)/python -m pip config get global.find-links 2>/dev/null | sed 's/[^ ][^ ]*/--find-links &/g')

# One single-threaded process per core: two OpenMP jobs on two cores run 8 x slower.
export OMP_NUM_THREADS ?= 1
export POLARS_MAX_THREADS ?= 1
export NUMBA_NUM_THREADS ?= 1

.PHONY: help setup demo test test-slow faults fuzz lint format audit dev bench bench-quick lock docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(STAMP) ## create .venv and install what the lock names

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(FIND_LINKS) -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

demo: setup ## simulate a match, run the line, make a film of a sentence, say where everything is
	$(BIN)/gridmotion demo

test: setup ## the whole suite but what is slow
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: setup ## what takes longer
	$(BIN)/pytest -n 2 --dist worksteal -m slow

faults: TIMES ?= 1
faults: FAULTS ?= tests/live
faults: setup ## what servers, networks, clocks and producers do to running matches, TIMES=1 times in a row
	for n in $$(seq $(TIMES)); do echo "time $$n of $(TIMES)"; $(BIN)/pytest -n 2 --dist worksteal $(FAULTS) || exit 1; done

fuzz: SECONDS ?= 600
fuzz: setup ## damage logs for SECONDS=600 and look for a crash, a hang or a lost event, one process per reader
	POLARS_MAX_THREADS=1 $(BIN)/python -m tests.fuzz.readers --seconds $(SECONDS)

lint: setup ## format, lint, types, layers, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -m assets.definitions

format: setup ## format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: setup ## known vulnerabilities of what the lock names; asks PyPI, and fails where it can not be asked
	$(BIN)/uv tool run pip-audit --strict --no-deps --disable-pip --requirement requirements.lock

dev: setup ## the Dagster UI with everything loaded, on http://127.0.0.1:3000
	mkdir -p .dagster && cp dagster.yaml .dagster/dagster.yaml
	DAGSTER_HOME="$(CURDIR)/.dagster" $(BIN)/dagster dev -m assets.definitions -h 127.0.0.1 -p $${PORT:-3000}

bench: setup ## measure everything, or AREAS="ingest motion", and renew bench/RESULTS.md
	$(BIN)/python -m bench $(AREAS)

bench-quick: setup ## a look in two minutes: less input, fewer runs, nothing written
	$(BIN)/python -m bench --quick

lock: ## pin every dependency anew
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --no-annotate --no-emit-find-links $(FIND_LINKS) --extra dev --extra mmcp pyproject.toml -o requirements.lock
	# Which libraries torch needs follows from its wheel: a build for processors needs none of these.
	sed -i -E '/^(nvidia|cuda|triton)[-=]/d' requirements.lock

docs: setup ## write what the program knows about itself: docs/tables.md; where the data is, docs/{sparse,simulator,labels,keys,motion,scenes,embeddings}.md
	$(BIN)/python -c "from pathlib import Path; from pipeline.tables import documentation; Path('docs/tables.md').write_text(documentation())"
	$(BIN)/python -m bench.sparse
	$(BIN)/python -m bench.simulator
	$(BIN)/python -m bench.labels
	$(BIN)/python -m bench.keys
	$(BIN)/python -m bench.motion_quality
	$(BIN)/python -m bench.stories
	$(BIN)/python -m bench.retrieval

clean: ## remove what the commands wrote, not the environment
	rm -rf data .dagster
