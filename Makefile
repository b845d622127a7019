# `make demo` and `make test` are all one needs: both set up what they use, inside this folder.
.DEFAULT_GOAL := help
.PHONY: help demo demo-vendors test test-all safety load bench bench-bulk bench-peers docs pictures monitoring-plan up down lint types lock install clean
export PYTHONPATH := include:plugins
BIN := .venv/bin
JOB ?=
ARGS ?=

help: ## says what each command does
	@echo "make demo      one order from file to finished video in a real Airflow, no key needed (JOB=examples/jobs/….yaml)"
	@echo "make demo-vendors  the fallback Runway → Veo 3 against the vendors' emulators, no key needed"
	@echo "make test      the tests that run everywhere, a few minutes (ARGS=… goes to pytest)"
	@echo "make test-all  every test, the slow ones too"
	@echo "make safety    storms of killed processes and planted bugs; the proof in var/safety/report.md (SCHEDULES=10000 for the long one)"
	@echo "make load      what this machine carries, promise by promise, in a real Airflow; report in var/load (ARGS=--only faults)"
	@echo "make bench     what Airflow costs per job, next to a naive DAG (ARGS=--jobs 5 --rounds 3)"
	@echo "make bench-bulk  what orchestration costs per clip in a batch of fifty, alone, and in a naive DAG (ARGS=--rounds 3)"
	@echo "make bench-peers  Prefect and LiteLLM beside ours, each in an environment of its own under var/peers"
	@echo "make docs      docs/ as a site in var/site, every link checked (mkdocs-material in an environment of its own)"
	@echo "make pictures  a picture of every page of the studio, into docs/pictures (needs Chromium)"
	@echo "make monitoring-plan  what deploying policies, dashboards and objectives to Cloud Monitoring would change"
	@echo "make up        an Airflow that stays: prints its address"
	@echo "make down      ends it"
	@echo "make lint      style, format and who imports whom"
	@echo "make types     mypy --strict on the library, basedpyright on everything"
	@echo "make lock      requirements.txt to requirements.lock (ARGS=--upgrade for newer versions)"
	@echo "make clean     removes .venv, .airflow and caches; keeps var/ (your videos and the ledger)"

# The first Python that is new enough; `make PYTHON=/path/to/python …` decides otherwise.
install:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec "$$python" tools/install.py; \
	  fi; \
	done; \
	echo "AIPROD needs Python 3.11 or newer; none of python3.13, python3.12, python3.11, python3 is." >&2; exit 1

demo: install
	@exec $(BIN)/python -m tools.demo $(JOB)

demo-vendors: install
	@exec $(BIN)/python -m tools.demo_vendors $(JOB)

test: install
	$(BIN)/python -m pytest -m "not slow" -n 3 --dist loadfile --ignore=tests/scheduler $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -m "not slow" tests/scheduler $(ARGS) || [ $$? -eq 5 ]

test-all: install
	$(BIN)/python -m pytest $(ARGS)

safety: install
	$(BIN)/python -m tests.safety $(ARGS)

load: install
	$(BIN)/python -m benchmarks.load $(ARGS)

bench: install
	$(BIN)/python -m benchmarks.overhead $(ARGS)

bench-bulk: install
	$(BIN)/python -m benchmarks.bulk $(ARGS)

bench-peers: install
	$(BIN)/python -m benchmarks.peers $(ARGS)

docs: install
	@$(BIN)/python -m tools.docs_site

pictures: install
	$(BIN)/python -m tools.pictures $(ARGS)

monitoring-plan: install
	@$(BIN)/python -m aiprod.monitoring plan

up: install
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; exec $(BIN)/python -m tools.stack up

down: install
	@exec $(BIN)/python -m tools.stack down

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy include/aiprod
	$(BIN)/basedpyright

lock: install
	$(BIN)/python -m tools.lock $(ARGS)

clean:
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tools.stack down; fi
	rm -rf .venv .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
