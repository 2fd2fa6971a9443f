# Every target makes its environment first: a fresh clone needs only Python 3.11 or later.
#
#   make demo                 the main job, on real data (ARGS="--tcp", ARGS="my.parquet")
#   make test                 tests and doctests        (ARGS="-k arrays", PYTHON=python3.13)
#   make slow                 the slow tests, which make test leaves out
#   make torch                the tests of the types of torch, astropy, geopandas and jax; installs these
#   make ray                  the tests of the adapter for Ray; installs Ray
#   make check                lint, types, all tests with coverage, notebooks
#   make fuzz                 broken messages    (ARGS="--seconds 60 --seed 1 --procs 2")
#   make bench                the benchmarks
#   make docs                 the documentation, as a site in site/: warnings are errors, links are checked
#   make package              the wheel and the sources in dist/, with the checks of a package index
#   make format               let ruff fix and format the code
#   make clean                remove environments and caches

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# For the newest Python, only some versions of a package have wheels.
export PIP_PREFER_BINARY := 1
# The tests start hundreds of processes, each of which would compile this package.
export PYTHONDONTWRITEBYTECODE :=

# PYTHON=NAME gets a separate environment, so two interpreters can be tested side by side. A pyenv shim that
# is not selected only prints "command not found", so pyenv's own interpreters are tried too.
PYENV_ROOT ?= $(HOME)/.pyenv
CANDIDATES = $(if $(PYTHON),$(PYTHON) $(wildcard $(PYENV_ROOT)/versions/*/bin/$(notdir $(PYTHON))), \
    python3 python3.13 python3.14 python3.15 python3.12 python3.11)
RECENT_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
INTERPRETER = $(shell for it in $(CANDIDATES); do \
    "$$it" -c '$(RECENT_ENOUGH)' 2>/dev/null && echo "$$it" && break; done)
FOUND = $(or $(INTERPRETER),$(error canning needs Python 3.11 or later, and found none among: \
    $(strip $(CANDIDATES)). Install one, or name it: make test PYTHON=/path/to/python3.11))
VENV := .venv$(if $(PYTHON),-$(notdir $(PYTHON)))
RUN := $(VENV)/bin/python

# Coverage makes tests slower, so only `make check` measures it.
COVERAGE =

# The tests of one file stay in one process, since they share started processes. WORKERS= runs all in one.
WORKERS = --numprocesses=auto --dist=loadfile

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

.PHONY: demo
demo: $(VENV)/.has-demo
	@$(RUN) -m canning demo $(ARGS)

.PHONY: test
test: $(VENV)/.has-test
	$(RUN) -m pytest $(WORKERS) $(COVERAGE) $(ARGS)

.PHONY: slow
slow: $(VENV)/.has-test
	$(RUN) -m pytest -m slow $(if $(WORKERS),--numprocesses=auto --dist=worksteal) $(ARGS)

# The build for the CPU, if there is one: the other build is ten times as large.
.PHONY: torch
torch: $(VENV)/.has-test
	$(RUN) -m pip install --quiet torch==2.13.0 --editable '.[large]'
	$(RUN) -m pytest tests/test_types.py tests/test_types_hostile.py tests/test_ecosystem.py tests/test_golden.py \
	    tests/test_portable_tables.py tests/test_states.py $(ARGS)

.PHONY: ray
ray: $(VENV)/.has-test
	$(RUN) -m pip install --quiet --editable '.[ray]'
	$(RUN) -m pytest -m slow tests/engines/test_ray.py $(ARGS)

.PHONY: check
check: COVERAGE = --cov --cov-report=term
check: lint types test slow notebooks

.PHONY: lint
lint: $(VENV)/.has-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

.PHONY: types
types: $(VENV)/.has-dev
	$(RUN) -m mypy
	$(RUN) -m mypy docs/examples

.PHONY: notebooks
notebooks: $(VENV)/.has-test
	$(RUN) -m pytest --nbmake --nbmake-timeout=400 --timeout=500 notebooks

.PHONY: fuzz
fuzz: $(VENV)/.has-test
	$(RUN) -m tests.fuzz $(ARGS)

.PHONY: bench
bench: $(VENV)/.has-bench
	$(RUN) -m tests.bench $(or $(ARGS),--plots docs/bench --pages docs)

.PHONY: docs
docs: $(VENV)/.has-docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict --config-file .mkdocs.yml $(ARGS)
	@echo "open site/index.html"

.PHONY: package
package: $(VENV)/.has-package
	rm -rf dist
	$(RUN) -m build --outdir dist .
	$(RUN) -m twine check --strict dist/*
	$(RUN) -m tests.package dist

.PHONY: format
format: $(VENV)/.has-dev
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

.PHONY: clean
clean:
	rm -rf site dist .frames .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*

# Prints the interpreter that would be used, or fails if there is none.
.PHONY: interpreter
interpreter:
	@echo $(FOUND)

$(RUN):
	@echo "making $(VENV) with $(FOUND)"
	@"$(FOUND)" -m venv --clear $(VENV)

# One stamp for each extra; after a change of pyproject.toml it is installed again.
$(VENV)/.has-%: $(RUN) pyproject.toml
	@echo "installing canning[$*] into $(VENV) (once)"
	@$(RUN) -m pip install --quiet --editable '.[$*]'
	@touch $@
