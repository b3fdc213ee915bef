# Every target sets up .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# In a container one is root, which JupyterLab wants to be told.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.DEFAULT_GOAL := help
.PHONY: help demo test lint lab notebooks cases bench clean

help:
	@echo "make demo       grade a made-up class on week 2, from source to feedback, and check its grades"
	@echo "make test       run the tests, those of the lessons included"
	@echo "make lab        open JupyterLab on your own copies of the notebooks, in work/"
	@echo "make notebooks  build the notebooks from solutions/ again"
	@echo "make cases      grade every wrong and alternative answer; write docs/kill_table.md"
	@echo "make bench      measure, on an idle machine: grading beside stock nbgrader, soak, kills, training (20 minutes)"
	@echo "make lint       format check, lint, types"

demo: $(READY)
	@$(BIN)/autograder demo

test: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile # as many processes as cores, so one thread each

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

cases: $(READY)
	@$(BIN)/autograder cases --table docs/kill_table.md

bench: $(READY)
	@$(BIN)/python -m benchmarks.grading
	@$(BIN)/python -m benchmarks.soak
	@$(BIN)/python -m benchmarks.soak --crash
	@$(BIN)/python -m benchmarks.training --threads 1

lab: $(READY)
	@$(BIN)/llmsys fetch notebooks work
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/work $(AS_ROOT)

notebooks: $(READY)
	@$(BIN)/autograder build

clean:
	rm -rf $(VENV) demo

$(READY): pyproject.toml constraints.txt tools/setup_venv.sh
	@sh tools/setup_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@
