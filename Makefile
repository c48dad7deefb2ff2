# Each target does all its own set-up in .venv and is quick when it is there already.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench

.venv/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/.installed  ## map a noisy room offline: out/demo/{scene.ply,instances.json,report.html}
	$(BIN)/seg3r demo --out out/demo

test: .venv/.installed  ## all tests, on CPU, offline, in two processes
	$(BIN)/python -m pytest -n 2

check: .venv/.installed  ## lint and types
	$(BIN)/ruff check
	$(BIN)/mypy

bench: .venv/.installed  ## speed and memory, as JSON in out/bench.json
	$(BIN)/python benchmarks/run.py --json out/bench.json
