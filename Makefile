# Each target makes .venv and installs into it first, when that is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test lint bench soak

run: $(VENV)/installed
	$(BIN)/python -m experiments.run --model=multitask --alpha=2

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

# The tests of robustness, for at most a quarter of an hour; --minutes, --kills, --bits and --files say how much.
soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak

lint: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# torch joins the peers where `$(BIN)/python -m pip install -e '.[bench]'` has been run.
bench: $(VENV)/installed
	$(BIN)/python -m experiments.benchmark

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/installed
