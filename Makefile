# `make demo` and `make test` each set everything up on a fresh machine and then run; repeats are quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LAMINI := .venv-lamini

.PHONY: demo test test-slow test-peers soak faults kills lint audit types format setup clean

demo: $(READY)
	@$(BIN)/memtune demo

test: lint types $(LAMINI)/ready
	$(BIN)/pytest --numprocesses 2

test-slow: $(READY)
	$(BIN)/pytest -m slow

test-peers: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[peers]'
	$(BIN)/pytest -m peers

# 64 clients that stream from several memories and versions; fails when an answer fails or is wrong, or memory grows.
soak: $(READY)
	$(BIN)/memtune bench serve --soak --seconds 120

faults: $(READY)
	$(BIN)/pytest -m "faults or not faults" -s tests/faults

# A server that learns and answers is killed fifty times; KILLS=n says otherwise.
kills: $(READY)
	$(BIN)/pytest -m faults -s tests/test_serve/test_serve_kills.py

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --cache-dir .import_linter_cache

# Known weaknesses of what is installed. Asks the package index, so it is no part of `make test`.
audit: $(READY)
	$(BIN)/pip-audit --progress-spinner off --skip-editable

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

# The constraints hold for the build as well; newer versions of pip read them from the second variable.
$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

# The unmodified client of the reference, which the tests of the server drive, in an environment of its own.
$(LAMINI)/ready: constraints-lamini.txt
	@echo "setting up $(LAMINI) (a minute the first time)"
	@$(PYTHON) -m venv $(LAMINI)
	@PIP_CONSTRAINT=constraints-lamini.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(LAMINI)/bin/pip install --quiet \
		requests tqdm jsonlines pandas 'lamini-configuration[yaml]' aiohttp azure-storage-blob openai faiss-cpu \
		sqlalchemy sqlglot
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(LAMINI)/bin/pip install --quiet --no-deps --constraint constraints-lamini.txt lamini
	@touch $@

clean:
	rm -rf $(VENV) $(LAMINI) build dist .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
