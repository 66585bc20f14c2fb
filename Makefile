# `make demo` and `make test` set up everything they need; see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An index with torch's CPU builds, for a machine without a card: of one version pip takes those (docs/run.md).
TORCH_INDEX :=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(addprefix --extra-index-url ,$(TORCH_INDEX))

.PHONY: help demo demo-parts report test lint test-faults test-slurm test-slow mutants train-sam-tiny notebook config-docs bench-gpu clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install into .venv and run the workflow on ten sample photos"
	@echo "make demo-parts  part-whole hierarchies of the sample photos: results/parts/islands"
	@echo "make report     the same, and one HTML page about it: results/report/.../report.html"
	@echo "make test       install, lint, and run the tests"
	@echo "make test-faults  every fault of docs/reliability.md, the fuzz tests too"
	@echo "make test-slurm  both Slurm profiles on a real Slurm of one node; needs root"
	@echo "make test-slow  the proofs that take minutes"
	@echo "make mutants    do the unit tests notice small faults in the code? (an hour; MODULES=formats/rle.py for some)"
	@echo "make train-sam-tiny  train the embedded SAM anew, into build/sam_tiny (hours; goes on where it was stopped)"
	@echo "make notebook   write examples/tour.ipynb from examples/tour.py"
	@echo "make config-docs  write config/README.md and schema.json from the types"
	@echo "make bench-gpu  measure on the card of this machine, and write the figures into docs/performance.md"
	@echo "make clean      remove what a run makes (results/, logs/, .snakemake/)"

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "regionflow needs Python >= 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	@# An environment that is there keeps its Python: two Pythons in one do not mix.
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

# The demo needs no test tools.
$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -e '.[test,clients]'
	touch $@

demo: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all

demo-parts: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/presets/part_whole_demo.yaml -- parts
	@echo "Look at results/parts/islands/*.png and results/parts/model/curves.svg; docs/parts.md says what they show."

report: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all all report

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

test: lint
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-faults: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/faults

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

MODULES :=
mutants: $(VENV)/.installed-test
	$(PIP) -e '.[mutants]'
	nice -n 19 $(BIN)/python tests/mutants/run.py $(MODULES)

# A Slurm of one node with two pretended cards; skipped by name without root or slurm-wlm and munge (docs/cluster.md).
test-slurm: $(VENV)/.installed-test
	$(PIP) -e '.[slurm]'
	$(BIN)/python -m pytest tests/slurm -rs

# Memory that is kept, not given back after every tensor, makes a step a tenth shorter.
train-sam-tiny: $(VENV)/.installed
	MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 \
		$(BIN)/python -m regionflow.train.sam_tiny.train --out build/sam_tiny --threads 2

# Without outputs: the notebook is the script in cells.
notebook: $(VENV)/.installed-test
	$(BIN)/jupytext --quiet --to notebook examples/tour.py

# On a machine with an NVIDIA card; writes the table of docs/performance.md. Without a card it says so and does nothing.
bench-gpu: $(VENV)/.installed-test
	$(BIN)/python benchmarks/gpu.py

config-docs: $(VENV)/.installed-test
	$(BIN)/python -m regionflow.config.document config

clean:
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf logs .snakemake
