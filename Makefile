# The verbs of this project. Each makes what it needs; `make help` lists them.
PY := $(or $(PYTHON),python3)
BIN := .venv/bin
ARGS ?=
# Most tests wait for processes of their own: more of them at once than there are cores keep those busy. One that
# waited for another process may run again, twice at most, and the end of the run lists it (tests/support/runs.py).
PYTEST := $(BIN)/pytest -n 6 --reruns 2 --durations 20 --ignore=tests/benchmarks
QUICK := smoke or not (live or slow)
# Who names tests wants those, however long they take.
NAMED = $(findstring tests,$(ARGS))$(findstring -k,$(ARGS))$(filter -%k,$(ARGS))
ENVIRONMENT := $(PY) example_project/environment.py
.DEFAULT_GOAL := help

.PHONY: help demo test test-all bench soak screenshots lint format types layers docs clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Run the example project with all it needs (ARGS=--once: check it and end)
	@$(ENVIRONMENT) demo
	@exec $(BIN)/python example_project/demo.py $(ARGS)

# Each process that a test starts would compile the package anew.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: ## Run the tests that prove most, in six minutes (ARGS="tests/store -k lock": those, however long)
	@bash .ci/services
	@$(ENVIRONMENT) test
	@$(PYTEST) -m "not soak$(if $(NAMED),, and ($(QUICK)))" $(ARGS)

test-all: ## Run the rest, in eighteen minutes: with `make test` that is everything but soak and bench
	@bash .ci/services
	@$(ENVIRONMENT) test
	@$(PYTEST) -m "not soak and not ($(QUICK))" $(ARGS)

bench: ## Measure the figures that DESIGN promises, each beside its floor
	@bash .ci/services
	@$(ENVIRONMENT) test
	@$(BIN)/pytest tests/benchmarks -s $(ARGS)

soak: ## Run the long tests: minutes to hours
	@bash .ci/services
	@bash .ci/services pg_createcluster
	@$(ENVIRONMENT) test
	@$(BIN)/pytest -m soak --timeout 0 $(ARGS)

screenshots: ## Take the pictures of the pages in docs/screenshots anew (ARGS=overview: those)
	@bash .ci/services
	@$(ENVIRONMENT) test
	@$(BIN)/python tests/page/screenshots.py $(ARGS)

lint: ## Check style and format
	@$(ENVIRONMENT) test
	@$(BIN)/ruff check . $(ARGS)
	@$(BIN)/ruff format --check .

format: ## Put style and format right, as far as a program can
	@$(ENVIRONMENT) test
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

types: ## Check the types, strictly
	@$(ENVIRONMENT) test
	@$(BIN)/mypy $(ARGS)

layers: ## Check that no room imports one above or beside it
	@$(ENVIRONMENT) test
	@$(BIN)/lint-imports

docs: ## Build the documentation into docs/_build
	@$(ENVIRONMENT) docs
	@$(BIN)/sphinx-build -q -W --keep-going -C -D extensions=myst_parser -D html_theme=furo \
		-D myst_heading_anchors=4 -D project=django-celery-health -D exclude_patterns=_build docs docs/_build $(ARGS)

clean: ## Remove the environment and everything that was built
	rm -rf .venv build dist docs/_build htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
