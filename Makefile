.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/installed: requirements.txt
	@echo "making .venv and installing what requirements.txt pins"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.PHONY: up
up: ## run everything until Ctrl-C: with Docker where an engine answers, else without
	@if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; \
	then echo "a Docker engine answers: docker compose up"; docker compose up; \
	else echo "no Docker engine answers: running on this machine"; $(MAKE) --no-print-directory up-local; fi

.PHONY: up-local
up-local: .venv/installed ## run everything until Ctrl-C, without Docker
	@broker/up-local || [ $$? -eq 143 ] # told to stop

.PHONY: down
down: ## stop and remove the containers, the network and the data
	docker compose down --volumes

.PHONY: test
test: lint types ## everything: lint, types, and all tests on a real Kafka
	@docker info >/dev/null 2>&1 || echo "no Docker engine answers: the compose test is skipped"
	$(BIN)/python -m pytest

.PHONY: lint
lint: .venv/installed ## style, format, and which layer imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

.PHONY: types
types: .venv/installed ## static types
	$(BIN)/mypy

.PHONY: unit
unit: .venv/installed ## the tests that need no Kafka: seconds
	$(BIN)/python -m pytest test/unit test/contract

.PHONY: bench
bench: .venv/installed ## the speed beside that of its peers: over an hour; QUICK=1 takes 3 minutes
	$(BIN)/python -m bench $(if $(QUICK),--quick)

.PHONY: faults
faults: .venv/installed ## break things under running detectors, check all that came out: 16 minutes; LONG=1: hours
	PYTHONPATH=test:test/integration $(BIN)/python -m faults --table docs/reliability.md \
		$(if $(LONG),--faults 1000 --seed $(or $(SEED),$$RANDOM)) $(FAULTS)

.PHONY: requirements
requirements: .venv/installed ## pin what pyproject.toml asks for, with hashes
	$(call pin,generator,generator/requirements.txt)
	$(call pin,detector,detector/requirements.txt)
	$(call pin,report,test/report/requirements.txt)
	$(call pin,dev,requirements.txt)

.PHONY: clean
clean: ## remove what was installed and built here
	rm -rf .venv .broker .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

pin = $(BIN)/uv pip compile --quiet --generate-hashes --universal --no-emit-index-url --no-header \
	--python-version 3.11 --extra $(1) --output-file $(2) pyproject.toml
