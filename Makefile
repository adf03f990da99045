# One line a target; `make help` lists them. Needs make and Python 3.11+, and no root.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST ?=
# Three workers suit two cores: tests wait a third of their time. Each file is one worker's (what starts a server does it
# once); `make test WORKERS=0` runs in one process (for a debugger).
WORKERS ?= 3
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate --custom-compile-command "make pins"

.DEFAULT_GOAL := help
.PHONY: help run test check format bench soak docs pins services services-down clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run-stamp ## install what is pinned, then serve on 127.0.0.1:8000
	@exec $(BIN)/python main.py serve

test: $(VENV)/.dev-stamp ## the whole suite, on the real servers it finds or can start; PYTEST="-k money"
	@dev/test -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

check: $(VENV)/.dev-stamp ## format, lint, types, arrows
	@dev/check

format: $(VENV)/.dev-stamp ## put the code into form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/.dev-stamp ## measure against plain FastAPI; needs wrk
	@$(BIN)/python bench/run.py

docs: $(VENV)/.dev-stamp ## build the documentation into site/
	@$(BIN)/python -m zensical build --clean --strict

soak: $(VENV)/.dev-stamp ## the long runs (swaps, killed processes, 100 examples an operation) into soak/RESULTS.md
	@$(BIN)/python -m dev.soak $(PYTEST)

services: ## start PostgreSQL, Redis and Kafka for tests, on loopback ports of their own
	@dev/services up

services-down: ## stop what `make services` started
	@dev/services down

pins: $(VENV)/.dev-stamp ## compile requirements*.txt from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(UV_COMPILE) pyproject.toml --output-file requirements.txt
	@$(UV_COMPILE) pyproject.toml --extra dev --extra docs --constraint requirements.txt --output-file requirements-dev.txt

clean: ## remove the virtual environment and what tools left
	@rm -rf $(VENV) build dist site .cache *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/.run-stamp: pyproject.toml requirements.txt dev/venv
	@dev/venv "$(PYTHON)" $(VENV) requirements.txt && touch $@

$(VENV)/.dev-stamp: pyproject.toml requirements-dev.txt dev/venv
	@dev/venv "$(PYTHON)" $(VENV) requirements-dev.txt && touch $@ $(VENV)/.run-stamp
