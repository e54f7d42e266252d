# Two commands for a newcomer:  make up    make test
# Everything lives in .venv; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := protocol market node sdk mesh

.PHONY: up test check format bench protos docs clean

up: .venv/up  ## run a market, a node with a real small model and a gateway; buy one completion
	@$(BIN)/swatow up --directory .swatow $(ARGS)

test: .venv/test  ## run all tests, with branch coverage
	@$(BIN)/python -m pytest --cov --cov-report= $(ARGS)
	@$(BIN)/python -m coverage report --skip-covered --sort=cover | tail -n 25

check: .venv/test  ## format, lint, types, import contracts, generated files, coverage of pure parts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes swatow --ignoreexternal
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" protocol/generate.sh --check
	$(BIN)/python docs/generate.py --check

format: .venv/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/test  ## time to first token and tokens a second, beside the engine alone
	$(BIN)/python benchmarks/first_token.py $(ARGS)

protos: .venv/test
	PATH="$(CURDIR)/$(BIN):$$PATH" protocol/generate.sh

docs: .venv/test
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv .swatow .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/python:
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Swatow needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(PIP) install --upgrade pip
	@touch $@

.venv/up: .venv/python pyproject.toml constraints.txt node/swatow_node/engines/requirements.txt
	@echo "installing swatow and its engine into .venv"
	@$(PIP) install --constraint constraints.txt --editable '.[all]'
	@$(PIP) install --no-deps --requirement node/swatow_node/engines/requirements.txt
	@touch $@

.venv/test: .venv/up
	@echo "installing what tests need"
	@$(PIP) install --constraint constraints.txt --group dev
	@tests/install_servers.sh
	@touch $@
