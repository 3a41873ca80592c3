SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo test test-latest lint format docs

# The first Python 3.11 on PATH that can make virtual environments; override with PYTHON=/path/to/python3.11.
PYTHON ?= $(shell for python in $$(type -aP python3.11 python3 python); do \
    if "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
    then echo "$$python"; break; fi; done)

demo: .venv/.installed
	@.venv/bin/python -m pipelines.rerank --input demo/dbpedia_entity_40x50.parquet --output out/demo \
	    --model small-cross-encoder --overwrite --runner=DirectRunner
	@.venv/bin/python -m eval measure out/demo --qrels demo/dbpedia_entity_40x50.qrels

test: lint
	@.venv/bin/python -m pytest --numprocesses=2 --dist=worksteal

# The tests with the newest versions that setup.py allows, in an environment made anew. What is to be held back goes into
# a file that PIP_CONSTRAINT names, such as a CPU build of torch.
test-latest:
	@rm -rf .venv-latest
	@"$(PYTHON)" -m venv .venv-latest
	@.venv-latest/bin/python -m pip install -qq --disable-pip-version-check --editable '.[test]'
	@.venv-latest/bin/python -m pip list --disable-pip-version-check
	@.venv-latest/bin/python -m pytest --numprocesses=2 --dist=worksteal

lint: .venv/.installed
	@.venv/bin/ruff check .
	@.venv/bin/mypy

format: .venv/.installed
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

docs: .venv/.installed
	@.venv/bin/python -m scripts.write_options
	@.venv/bin/python -m scripts.write_cards

.venv/.installed: setup.py pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
	    echo "make: needs Python 3.11 with its venv module: install it, or name it with PYTHON=/path/to/python3.11" >&2; \
	    exit 1; fi
	@echo "Installing into .venv, once; this takes some minutes"
	@"$(PYTHON)" -m venv .venv
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@
