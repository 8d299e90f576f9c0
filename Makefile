# Every target sets up what it needs, and is quick the second time. Nothing is put outside this
# folder but Debian packages, and those only as root: python3-venv where it is missing, and the
# programs that `make test` and `make bench` drive.

PYTHON ?= python3
ARGS ?=
SECONDS ?= 60
MINUTES ?= 20
# One more than there are processors: many tests wait for a program.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

BIN := .venv/bin
HOST := .venv/.host
TOOLS := .venv/.tools
FUZZER := .venv/.fuzzer
AUDITOR := .venv/.auditor
JUPYTER := .venv/.jupyter
NPM := npm/node_modules/.package-lock.json
PYODIDE := .cache/pyodide/.made
HARAKA := .cache/bench/haraka/.made
EXTRAS := fast,site,test,docs,bench,lint
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Tools keep what they keep in here, and read nothing of the user's.
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/.cache/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/.cache/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.cache/jupyter
export NO_MKDOCS_2_WARNING := 1
export npm_config_cache := $(CURDIR)/.cache/npm
# Else each host that a test starts would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run demo test test-site lint format types docs notebooks bench chaos fuzz soak \
	audit pins clean debian

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(TOOLS)  ## make .venv with the package and all its tools

run: site/.built  ## serve the tutorial, with a mail host and a fake QMQP server to watch
	@$(BIN)/qpsdk lab --site site $(ARGS)

demo: $(HOST)  ## the same for one message that it sends itself
	@$(BIN)/qpsdk lab --demo $(ARGS)

test: $(TOOLS) $(NPM) $(PYODIDE) $(HARAKA) debian  ## run all tests, doctests and notebooks (ARGS="-k netstring")
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-site: $(TOOLS) $(NPM) debian  ## run all tests of the site; screenshots go to .cache/screenshots
	@$(BIN)/pytest -n auto --dist worksteal -m "" tests/site tests/test_notebooks.py $(ARGS)

lint: $(TOOLS)  ## check style, formatting and spelling
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/codespell

format: $(TOOLS)  ## repair what lint can repair
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: $(TOOLS)  ## check the types
	@$(BIN)/mypy

docs: site/.built  ## build the site into site/
	@echo "The site is in site/index.html"

notebooks: $(JUPYTER)  ## open the tutorial in Jupyter, to run it and to change it
	@$(BIN)/jupytext --quiet --sync notebooks/*.py
	@$(BIN)/jupyter lab $(ARGS) notebooks/00_five_minutes.ipynb

bench: $(TOOLS) $(HARAKA) debian  ## measure this host beside others (ARGS=--quick, --publish)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

chaos: $(TOOLS)  ## send 10,000 messages past faults and kills, and balance the books
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(FUZZER)  ## fuzz all that reads bytes from outside (SECONDS=60)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

soak: $(TOOLS)  ## hours of mixed load with faults, and what it leaves behind (MINUTES=20)
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

audit: $(AUDITOR)  ## look for vulnerabilities: in our code, in what we install, in the wheel
	@$(BIN)/ruff check --select S --ignore S101
	@$(BIN)/pip-audit --disable-pip --no-deps --progress-spinner off -r constraints.txt
	@rm -rf .cache/wheel
	@$(BIN)/python -m pip wheel -qq --no-deps --no-build-isolation -w .cache/wheel .
	@$(BIN)/check-wheel-contents --toplevel qpsdk .cache/wheel

# Best on Debian 12, whose Python 3.11.2 is the oldest we run on: some releases need 3.11.5.
pins:  ## renew constraints.txt from the newest releases
	@rm -rf .cache/pins
	@PYTHON="$(PYTHON)" scripts/make-venv.sh .cache/pins
	@.cache/pins/bin/python -m pip install -qq --disable-pip-version-check ".[$(EXTRAS),notebooks,fuzz,audit]"
	@{ echo "# What the tests run with, exactly; renew with \`make pins\` (this was" \
	   "$$(.cache/pins/bin/python --version)), then \`make test\`."; \
	   .cache/pins/bin/python -m pip freeze --exclude qpsdk; } >.cache/constraints.txt
	@mv .cache/constraints.txt constraints.txt
	@rm -rf .cache/pins

clean:  ## remove all that make has made here
	rm -rf .venv .cache .hypothesis site dist npm/node_modules notebooks/*.ipynb \
		notebooks/.ipynb_checkpoints
	find . -name __pycache__ -prune -exec rm -rf {} +

# `make demo` needs the host only, which installs in seconds; the tools come on top of it.
$(HOST): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" scripts/make-venv.sh .venv
	@echo "Installing qpsdk into .venv ..."
	@$(INSTALL) -e ".[fast]"
	@touch $@

$(TOOLS): $(HOST)
	@echo "Installing the tools into .venv (a minute, once) ..."
	@$(INSTALL) -e ".[$(EXTRAS)]"
	@touch $@

# Apart from the tools: there are few systems that it comes for.
$(FUZZER): $(TOOLS)
	@$(INSTALL) -e ".[fuzz]"
	@touch $@

$(AUDITOR): $(TOOLS)
	@$(INSTALL) -e ".[audit]"
	@touch $@

$(JUPYTER): $(TOOLS)
	@echo "Installing Jupyter into .venv (a minute, once) ..."
	@$(INSTALL) -e ".[notebooks]"
	@touch $@

# npm comes from PyPI, so that no Node.js has to be installed. It writes this file last.
$(NPM): $(TOOLS) npm/package.json npm/package-lock.json npm/.npmrc
	@scripts/npm-packages.sh

# What the tests need that run in Pyodide, which is CPython 3.14.
$(PYODIDE): $(TOOLS)
	@scripts/pyodide-packages.sh

# The host that ours is measured beside, and what its test runs.
$(HARAKA): $(TOOLS) tests/benchmarks/haraka/package.json tests/benchmarks/haraka/package-lock.json
	@scripts/haraka-packages.sh

debian: $(TOOLS)
	@scripts/debian-packages.sh

# Folders are listed too, so that a removed page counts as a change; those with a slash have the
# name of a target. No name with a space: make would take it for several.
site/.built: $(TOOLS) $(NPM) mkdocs.yml README.md CHANGELOG.md \
		$(shell find docs/ notebooks/ qpsdk tests/samples -name __pycache__ -prune -o \
			-name '*.ipynb*' -prune -o -name '* *' -prune -o -print)
	@echo "Building the site, which runs all notebooks (a minute, once) ..."
	@$(BIN)/mkdocs build --strict  # --quiet would make it deaf to its own warnings
	@touch $@
