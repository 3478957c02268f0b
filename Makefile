# Everything runs in .venv, which is made on first use. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
RECIPES := table2-breast table2-prostate table3-breast table3-colon
# QUICK=--quick makes `make paper` a trial of minutes, kept out of docs/results.
QUICK :=
# RECORD=1 lets `make bench` write its figures into docs/performance.md.
RECORD :=
RESULTS := $(if $(QUICK),runs/results,docs/results)

.DEFAULT_GOAL := help
.PHONY: help demo app test test-oldest check format bench prove-slides paper samples screenshots figures clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make environments. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gui,slides,fast,dev]'
	@touch $(READY)

demo: $(READY)  ## Detect nuclei in the sample image: picture and table in demo_output/, score printed
	$(BIN)/nucbudget demo

app: $(READY)  ## Open napari with the sample image and the dock "Detect nuclei"
	$(BIN)/python -m napari_nucbudget.ui.app

test: check  ## All checks, then all tests
	@.ci/tests

test-oldest:  ## All tests with the oldest versions that pyproject.toml allows (some gigabytes)
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check uv
	.venv-oldest/bin/uv pip install --quiet --resolution lowest-direct --python .venv-oldest/bin/python -e '.[gui,slides,fast,dev]'
	@TEST_PYTHON=.venv-oldest/bin/python .ci/tests

check: $(READY)  ## Lint, formatting, types, layers, plugin manifest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate src/napari_nucbudget/napari.yaml

format: $(READY)  ## Format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## Time all in turn against what it replaces, RECORD=1: into docs; kill 200 annotating processes; 10,000 edits
	for what in detectors classifiers steps training startup memory; do \
	  OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$what.py || exit 1; \
	done
	$(BIN)/python benchmarks/report.py $(if $(RECORD),--record)
	$(BIN)/python benchmarks/project.py
	NUCBUDGET_KILLS=200 NUCBUDGET_EDITS=10000 $(BIN)/python -m pytest -o timeout=3600 tests/project/test_killed.py tests/project/test_undo.py

prove-slides: $(READY)  ## A slide killed and resumed, a cluster that loses a worker, rates, panning: in runs/prove-slides
	$(BIN)/python benchmarks/slide_proof.py runs/prove-slides/killed
	$(BIN)/python benchmarks/cluster_proof.py runs/prove-slides/cluster
	$(BIN)/python benchmarks/slide.py runs/prove-slides/cluster/drawn0.ome.tif --classify nuclei-context-cnn --rounds 3
	.ci/with-screen $(BIN)/python benchmarks/panning.py runs/prove-slides/panning

paper: $(READY)  ## Section 3's tables and figures from NUCBUDGET_DATA into docs/results (hours; QUICK=--quick: minutes)
	$(BIN)/python benchmarks/detection.py
	for recipe in $(RECIPES); do \
	  $(BIN)/nucbudget budget $$recipe $(QUICK) --out runs/$$recipe$(QUICK) --results $(RESULTS) || exit 1; \
	done

samples: $(READY)  ## Draw the sample data anew
	rm -rf build/samples
	$(BIN)/python -m napari_nucbudget.io.samples build/samples
	rm -rf sample_data/labels
	cp -R build/samples/. sample_data/

screenshots: $(READY)  ## Take the screenshots of the documentation anew
	.ci/with-screen $(BIN)/python docs/screenshots.py
	.ci/with-screen $(BIN)/python docs/tutorial_shots.py

figures: $(READY)  ## Write the figures of the model cards into README.md
	$(BIN)/python docs/figures.py

clean:  ## Remove what the targets made, the environment included
	rm -rf .venv .venv-oldest demo_output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
