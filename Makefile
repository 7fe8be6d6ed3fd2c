# Every target creates what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
SELECTED ?= not slow and not medium
CONSTRAINTS ?= constraints.txt
WANTED = --constraint $(CONSTRAINTS) --editable '.[dev]'
# Temporary environment of one target (8 GB); removed afterwards.
TRIAL ?= .trial

.PHONY: demo docs test coverage test-fast test-backbones test-exhaustive test-lowest test-newest constraints check check-style check-types check-layout mutation format \
	benchmark benchmark-noise benchmark-change dist clean

# Every command on a synthetic landscape. All files are written to demo/.
demo: $(VENV)/.installed
	$(BIN)/rsretrieve demo --output demo --overwrite

# One thread per worker: threads of parallel PyTorch processes would busy-wait for each other.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests

# The same, and which lines no test runs: takes a third longer. Fails below 95 % of lines and branches.
coverage: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=term:skip-covered \
		--cov-fail-under=95 tests

# The documentation as a site, in site/. Needs no network; a broken link is an error.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The wheel and the source archive, in dist/.
dist: $(VENV)/.installed
	$(BIN)/python -m build --no-isolation --outdir dist

# The tests that take less than 0.4 s each: a minute or so.
test-fast: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "$(SELECTED)" tests

# Each of torchvision's 80 classification backbones (10 minutes); `make test` takes two small ones.
test-backbones: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "exhaustive or slow" \
		-o junit_family=xunit1 --junitxml=backbones.xml tests/trials/test_every_backbone.py

# What `make test` takes samples of: all backbones, other numbers of processes that train together.
test-exhaustive: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m exhaustive tests

# All tests but the slow ones with the lowest versions that pyproject.toml allows, and with the newest.
test-lowest:
	rm -rf $(TRIAL) && mkdir -p $(TRIAL)
	$(PYTHON) tools/versions.py lowest > $(TRIAL)/lowest.txt
	$(MAKE) test-fast SELECTED="not slow" VENV=$(TRIAL)/venv CONSTRAINTS=$(TRIAL)/lowest.txt
	rm -rf $(TRIAL)

test-newest:
	rm -rf $(TRIAL) && mkdir -p $(TRIAL) && touch $(TRIAL)/none.txt
	$(MAKE) test-fast SELECTED="not slow" VENV=$(TRIAL)/venv CONSTRAINTS=$(TRIAL)/none.txt
	rm -rf $(TRIAL)

# Rewrite constraints.txt with the newest versions of all packages.
constraints:
	rm -rf $(TRIAL) && mkdir -p $(TRIAL) && touch $(TRIAL)/none.txt
	$(MAKE) $(TRIAL)/venv/.installed VENV=$(TRIAL)/venv CONSTRAINTS=$(TRIAL)/none.txt
	$(TRIAL)/venv/bin/python -m pip freeze --all > $(TRIAL)/frozen.txt
	$(PYTHON) tools/versions.py installed < $(TRIAL)/frozen.txt > $(TRIAL)/constraints.txt
	mv $(TRIAL)/constraints.txt constraints.txt
	rm -rf $(TRIAL)

# `make -j 2 check` runs them side by side.
check: check-style check-types check-layout docs

check-style: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: $(VENV)/.installed
	$(BIN)/mypy

check-layout: $(VENV)/.installed
	$(BIN)/python -m pytest -q tests/test_architecture.py

# About 700 mutations of losses, metrics and audit scores, each of which a test must detect.
# Takes minutes, continues after an interruption, and lists the mutations that no test detected.
mutation: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run --max-children $(JOBS)
	$(BIN)/python -m mutmut results

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The figures that the README quotes; needs real tiles: make benchmark TILES=folder
benchmark: $(VENV)/.installed
	$(BIN)/python benchmarks/throughput.py $(TILES)

# The change beside the main branch, in one run, by turns; fails if it is slower by more than 5 %.
MAIN ?= main
benchmark-change: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/change.py --main $(MAIN)

# The label-noise benchmark. Takes hours, continues after an interruption; PRESET=--quick: minutes.
PRESET ?= --cpu
benchmark-noise: $(VENV)/.installed
	$(BIN)/python benchmarks/noise_robustness.py $(PRESET) --data $(DATA) --weights $(WEIGHTS)

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@echo "Installing rsretrieve and what it needs into $(VENV): 8 GB on Linux with CUDA libraries; takes minutes."
	@echo "1 of 3: a virtual environment"
	$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: pip, and uv, which installs with all cores"
	$(BIN)/python -m pip install --quiet --upgrade --constraint $(CONSTRAINTS) pip uv
	@echo "3 of 3: the packages; the largest are torch, triton and nvidia-*"
# uv does not read pip's settings: where these name the only index, pip installs.
	$(BIN)/uv pip install --python $(BIN)/python --cache-dir $(VENV)/.cache $(WANTED) \
		|| $(BIN)/python -m pip install --no-compile $(WANTED)
	rm -rf $(VENV)/.cache
# On all cores, too. A file of torch is for a later Python.
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@echo "Installed: $$(du -sh $(VENV) | cut -f1) in $(VENV)"
	touch $@

clean:
	rm -rf $(VENV) $(TRIAL) demo build dist site .mypy_cache .ruff_cache .hypothesis mutants .coverage*
