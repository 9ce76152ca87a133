# Every verb sets up what it needs by itself: a .venv in this checkout, torch's small build where there is no GPU.
#   make demo    train on real handwritten digits, print the report's path
#   make test    every test, and every example in the docstrings
#   make check   style, types, floors, book order, sizes
#   make bench   the measurements behind the figures we state
#   make docs    the parts of the pages that the product itself makes
#   make clean   remove what these made, the environment too; your own runs stay

PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Cores belong to pytest's workers, one thread each: more threads than cores only wait for each other.
WORKERS ?= 2
READY = @command -v $(PYTHON) >/dev/null || { echo "make: no '$(PYTHON)' here. Next: install Python 3.11 or newer," \
	"or name one: make PYTHON=/path/to/python3"; exit 1; }; $(PYTHON) tools/setup.py

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs clean core-ready test-ready dev-ready

help:
	@sed -n 's/^#   //p' Makefile

demo: core-ready
	@$(BIN)/deepglass train digits --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: test-ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

check: dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/order.py
	$(BIN)/python tools/budget.py

bench: test-ready
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

docs: core-ready
	$(BIN)/python tools/gallery.py
	$(BIN)/python tools/shots.py
	$(BIN)/python tools/pages.py

clean:
	rm -rf .venv build dist runs/demo-* .pytest_cache .ruff_cache .import_linter_cache .hypothesis src/*.egg-info
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

core-ready:
	$(READY) core

test-ready:
	$(READY) test

dev-ready:
	$(READY) dev
