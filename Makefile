# Two commands: `make run` and `make test`. Everything else serves them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOST   ?= 127.0.0.1
PORT   ?= 8080
# Needs exports that may not be redistributed; continuous integration has them.
REAL   := tests/acceptance/test_formats_real_files.py

.PHONY: run test check bench bench-serve crash quality lock clean

run: $(VENV)/.run-ready ## set up, analyse the sample, serve
	@$(BIN)/okf warm
	@$(BIN)/okf analyze --sample --format table
	@$(BIN)/okf serve --host $(HOST) --port $(PORT)

test: $(VENV)/.test-ready check ## set up what tests need and pass them all
	@$(BIN)/okf warm
	@test -n "$$OKF_EVAL_DATA" || echo "make: OKF_EVAL_DATA names no folder of real exports, so $(REAL) is left out" >&2
	$(BIN)/pytest -n 2 --dist worksteal $(if $(OKF_EVAL_DATA),,--ignore=$(REAL))

check: $(VENV)/.test-ready ## style, types, arrows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test-ready ## measure speed; writes benchmarks/results
	$(BIN)/python benchmarks/bench_analyse.py
	$(BIN)/python benchmarks/bench_cli.py
	$(BIN)/python benchmarks/bench_serve.py
	$(BIN)/python benchmarks/bench_log.py
	$(BIN)/python benchmarks/bench_import.py
	$(BIN)/python benchmarks/bench_erase.py

bench-serve: $(VENV)/.test-ready ## ours and the guide's stack under the guide's mix of calls, freshness, Redis in trouble; DATA=folder of the evaluation sets; an hour
	$(BIN)/python benchmarks/bench_mix.py --data $(DATA)
	$(BIN)/python benchmarks/bench_redis.py --data $(DATA)
	$(BIN)/python benchmarks/bench_fresh.py --data $(DATA)

crash: $(VENV)/.test-ready ## kill imports 200 times at any moment and 10 times at each named point; some 20 minutes
	$(BIN)/python benchmarks/bench_crash.py

quality: $(VENV)/.test-ready ## measure quality; DATA=folder of the evaluation sets
	$(BIN)/python benchmarks/quality.py --data $(DATA)

lock: $(VENV)/bin/python ## resolve the newest dependencies into requirements*.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --extra test --extra bench -c requirements.lock -o requirements-test.lock pyproject.toml

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than 3.11: install Python 3.11 or name one with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "make: no virtual environment could be made: install it with 'apt install python3-venv'" >&2; exit 1; }

$(VENV)/.run-ready: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.test-ready: $(VENV)/bin/python requirements-test.lock pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-test.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.run-ready
