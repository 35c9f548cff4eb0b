# `make` prints what there is. Every target sets up what it needs and is quick the second time (stamps beside what they stand for).
# Nothing here uses sudo: a missing prerequisite ends with the line that installs it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
NODE := web/node_modules/.installed
PAGE := control/page/index.html
ARGS ?=
SECONDS_PER_TARGET ?= 60
SEED ?= 1
# Hundreds of SDK clients leave their process slow, and at times with a broken heap: these get one each.
ALONE := tests/interop/test_churn.py tests/interop/test_leaks.py
JOBS ?= $(shell nproc)

CODE := sfu turn control bench tests scripts
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml $(wildcard Cargo.lock)
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)

.PHONY: help run test test-full lint fmt bench bench-calls bench-full bench-peers bench-turn instructions fuzz wheel venv dev engine page generate lock clean check-build check-page

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------------------------- every day

run: $(STAMPS)/run engine page ## Start a development server and print links to join
	@exec $(BIN)/python -m control.cli serve --dev $(ARGS)

test: dev engine page ## Run the tests (not those marked slow)
	cargo test --locked --quiet --workspace
	cargo build --locked --quiet --workspace --bin loadgen
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-full: dev engine page ## Run every test, the slow ones too
	cargo test --locked --quiet --workspace
	cargo build --locked --quiet --workspace --bin loadgen
	$(BIN)/python -m pytest $(ALONE:%=--ignore=%) $(ARGS)
	@for file in $(ALONE); do $(BIN)/python -m pytest $$file $(ARGS) || exit; done

lint: dev engine $(NODE) ## Check format, types, layers, generated files and Rust lints
	@$(BIN)/python scripts/lint.py $(ARGS)

fmt: dev ## Format Python and Rust
	$(BIN)/ruff check --fix-only --quiet $(wildcard $(CODE))
	$(BIN)/ruff format $(wildcard $(CODE))
	cargo fmt --all

bench: dev engine ## Measure engine CPU per forwarded packet beside the floor
	cargo build --locked --release --quiet --package loadgen
	$(BIN)/python -m bench $(ARGS)

bench-calls: dev engine ## Measure whole calls beside LiveKit's server
	cargo build --locked --release --quiet --package loadgen
	$(BIN)/python -m bench calls --peers
	$(BIN)/python -m bench calls $(ARGS)

bench-turn: dev engine ## Measure relaying beside coturn, pion/turn and the floor
	cargo build --locked --release --quiet --package loadgen
	$(BIN)/python -m bench turn --peers
	$(BIN)/python -m bench turn $(ARGS)

instructions: dev check-build ## Count our instructions per packet under callgrind; ARGS=--check compares with those kept
	cargo build --locked --release --quiet --package instructions
	$(BIN)/python -m bench instructions $(ARGS)

bench-peers: dev ## Build the servers that the bench compares with, and say what else to install
	cargo build --locked --release --quiet --package loadgen
	$(BIN)/python -m bench peers

bench-full: dev engine ## Measure everything, beside everybody, into bench/reports (hours)
	cargo build --locked --release --quiet --package loadgen
	@# A missed gate of one is no reason to leave the others out.
	@status=0; for what in "all --json bench/reports/engine.json" "calls --json bench/reports/calls.json" \
	 "turn --json bench/reports/turn.json" "profile --json bench/reports/profile.json"; do \
	 $(BIN)/python -m bench $$what || status=$$?; done; exit $$status

fuzz: dev check-build ## Mutate every parser's corpus for SECONDS_PER_TARGET (60) seconds each, from SEED (1), JOBS at once
	cargo build --locked --quiet --package fuzz
	@{ cargo run --locked --quiet --package fuzz -- list | sed 's|^|cargo run --locked --quiet --package fuzz -- |'; \
	   $(BIN)/python -m tests.fuzz list | sed 's|^|$(BIN)/python -m tests.fuzz |'; } \
	 | xargs -P $(JOBS) -I '{}' sh -c '{} --seconds $(SECONDS_PER_TARGET) --seed $(SEED)'

wheel: $(STAMPS)/run page check-build ## Build the wheel into dist/
	rm -rf dist
	cargo build --locked --release --quiet --package loadgen
	mkdir -p bench/bin && cp target/release/loadgen bench/bin/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin build --release --locked --strip --auditwheel repair --out dist

generate: dev ## Rewrite the files that are generated from code (config example, docs tables)
	$(BIN)/python -m scripts.generate

lock: ## Resolve the requirements*.lock files again
	scripts/lock

clean: ## Remove what make made (keeps Cargo's target/)
	rm -rf $(VENV) bench/bin bench/out control/page web/dist web/node_modules dist sfu/_native*.so

# --------------------------------------------------------------------------------------------------- set-up

venv: dev ## Make .venv with run-time and development packages

dev: $(STAMPS)/dev

engine: $(STAMPS)/engine ## Build the Rust engine into the working tree (release)

page: $(PAGE) ## Build the meeting page

$(STAMPS)/venv:
	@PYTHON=$(PYTHON) scripts/prerequisites venv
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements.lock requirements-build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r requirements-build.lock
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(STAMPS)/engine: $(STAMPS)/run $(RUST_SOURCES) pyproject.toml | check-build
	@# Every dependency is installed already, from the lock; PIP_NO_INDEX keeps it so.
	PIP_NO_INDEX=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet >/dev/null
	@touch $@

$(NODE): web/package.json web/package-lock.json | check-page
	npm --prefix web ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE): $(NODE) $(PAGE_SOURCES)
	npm --prefix web run --silent build
	rm -rf control/page && cp -r web/dist control/page
	@touch $@

check-build:
	@scripts/prerequisites build

check-page:
	@scripts/prerequisites page
