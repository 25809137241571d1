# Everything starts here. Needs Python 3.11, 3.12 or 3.13, Node 20 and make; the rest is fetched into .venv and local/node_modules.

# The first that runs: a shim of pyenv is there also for a version that is not selected.
PYTHON ?= $(firstword $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c '' 2>/dev/null && echo $$p; done) python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NODE_READY := local/node_modules/.package-lock.json
export UV_COMPILE_BYTECODE := 1

.PHONY: help setup demo up test lint bench chaos schema requirements clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) $(NODE_READY) ## install everything that the other targets need

$(READY): requirements.txt requirements-dev.txt requirements-tools.txt requirements-runtime.txt
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed; say which with: make PYTHON=/path/to/python3.13 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-tools.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
	  --require-hashes -r requirements-runtime.txt
	@touch $@

$(NODE_READY): local/package.json local/package-lock.json
	@echo "fetching Azurite ..."
	@npm ci --prefix local --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## start everything here, send alerts, show what became of them
	@$(BIN)/python -m local demo $(ARGS)

up: setup ## start Azurite, the ServiceNow simulator and the app, and leave them running
	@$(BIN)/python -m local up $(ARGS)

test: setup ## run all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: setup ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## measure; writes benchmarks/results/
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: setup ## a storm while everything breaks; writes benchmarks/results/chaos.json
	@$(BIN)/python -m local chaos $(ARGS)

schema: setup ## write schema, tables of the docs, and the workbook of infra/ anew
	@$(BIN)/python -m app.configuration docs
	@$(BIN)/python -m local.workbook write

requirements: setup ## pin requirements*.txt anew from requirements*.in
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header requirements-tools.in -o requirements-tools.txt

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-3.13 local/node_modules .local .mypy_cache .ruff_cache .hypothesis .import_linter_cache
