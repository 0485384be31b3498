# Everything a newcomer needs; each target sets up .venv by itself, and again only when the pins change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
DEMO := demo
DATA ?= ../shared/data

.PHONY: install demo ui test check bench-corpus bench-mixer clean-demo

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sirdar needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/sirdar demo --workspace $(DEMO)

ui: $(STAMP)
	$(BIN)/sirdar ui --workspace $(DEMO)

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-corpus: $(STAMP)
	$(BIN)/python infra/benchmarks/corpus/run.py --data $(DATA)

bench-mixer: $(STAMP)
	$(BIN)/python infra/benchmarks/mixer/run.py --data $(DATA)

clean-demo:
	rm -rf $(DEMO)
