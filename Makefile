# Two commands: `make demo` and `make test`. Everything is in .venv, the command is .venv/bin/spikeprune.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FASHION := /usr/share/datasets/fashion-mnist
DATA ?= fashion-mnist
OUT ?= runs/demo
# Digits are few and small: they have a recipe of their own.
RECIPE := $(if $(filter digits,$(DATA)),smoke,demo)

# Frameworks whose versions exclude each other, as name-version: an environment each.
FRAMEWORKS := $(basename $(notdir $(wildcard tests/frameworks/requirements/*.txt)))

.PHONY: demo test quick coverage slow lint types unit install data clean benchmark frameworks \
  torch-range audit

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

# As root on Debian the data package is installed; elsewhere the loader says where it looked.
data:
	@if [ "$(DATA)" = fashion-mnist ] && [ ! -d $(FASHION) ] \
	  && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq dataset-fashion-mnist >/dev/null \
	  || echo 'dataset-fashion-mnist could not be installed; the loader looks elsewhere'; fi

demo: install data
	$(BIN)/spikeprune run --recipe $(RECIPE) --data $(DATA) --out $(OUT)

test: lint types unit frameworks

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

unit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The same tests, and the lines that none of them runs.
coverage: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal \
	  --cov --cov-report=term

# Nets of other frameworks, each in a process that sees its framework ahead of what .venv has.
frameworks:
	$(MAKE) --jobs 2 $(FRAMEWORKS:%=framework-%)

framework-%: build/frameworks/%/.installed
	FRAMEWORK=$* PYTHONPATH=build/frameworks/$*$${PYTHONPATH:+:$$PYTHONPATH} OMP_NUM_THREADS=1 \
	  $(BIN)/python -m pytest tests/frameworks -q -r fE -p no:cacheprovider

# Without dependencies: torch and what else they share with this package is in .venv.
.PRECIOUS: build/frameworks/%/.installed
build/frameworks/%/.installed: tests/frameworks/requirements/%.txt $(STAMP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --target $(@D) --requirement $<
	touch $@

# The inner loop: every fast test.
quick: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -q -m 'not slow'

# Times all tests and writes down which ones `quick` leaves out.
slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -q \
	  --durations 0 --durations-min 0.005 | $(BIN)/python tests/slow_tests.py

# The fast tests, and some whole runs, with the oldest releases that pyproject.toml allows and with the
# newest there are. Gigabytes to install, so this is not part of `test`. Licences are left out: those of
# the CUDA build of torch and of years ago are not what a user is given.
torch-range: range-oldest range-newest

RANGE := build/range
range-%: $(RANGE)/%/.installed
	OMP_NUM_THREADS=1 $(RANGE)/$*/bin/python -m pytest --numprocesses 2 --dist worksteal -q \
	  -m 'not slow' --ignore tests/lab/reproduce --ignore tests/test_supply_chain.py
	OMP_NUM_THREADS=1 $(RANGE)/$*/bin/python -m pytest -q tests/test_releases.py tests/test_golden.py

.PRECIOUS: $(RANGE)/%/.installed
$(RANGE)/%/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet $(if $(filter oldest,$*),--constraint constraints-oldest.txt) \
	  --editable '.[eventdriven]' accelerate build hatchling hypothesis pytest pytest-xdist
	touch $@

# Known vulnerabilities of all that is installed, asked of the package index; without network it says so.
audit: install
	[ -d build/audit ] || $(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit || true
	build/audit/bin/python .ci/audit.py --path "$$($(BIN)/python -c \
	  'import sysconfig; print(sysconfig.get_path("purelib"))')"

benchmark: install
	$(BIN)/python -m benchmarks --json docs/benchmarks.json

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
