# The two commands a newcomer needs are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-all gallery exercise test lint format report profiles narval bridges2 nightly

CORES ?= 2
# The first of these that runs and is new enough. Name another with `make PYTHON=/path/to/python3 setup`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)
# `-m` rather than .venv/bin/<tool>: it works in a folder whose name has spaces.
SNAKEMAKE := .venv/bin/python -m snakemake
# A file's tests share what it ran, so they stay together, and files start in the order that tests/conftest.py gives them.
TEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder
DEMO := --configfile config/demo.yaml
DEMO_REPORT := results/demo/report.html
DEMO_METRICS := results/demo/clusters/metrics.json
EXERCISES := $(basename $(notdir $(wildcard resources/exercises/*.yaml)))
RULE_SETS := clusters cmb massmap hsc mim challenges

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Snakemake and matplotlib cache under the home folder; where that cannot be written, here instead.
CACHE := $(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}" 2>/dev/null && test -w "$${XDG_CACHE_HOME:-$$HOME/.cache}" || echo .snakemake/cache)
ifneq ($(CACHE),)
export XDG_CACHE_HOME := $(CURDIR)/$(CACHE)
endif

help: ## list these targets
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/make \1\t\2/' | expand -t 16

setup: .venv/.complete ## build .venv from requirements.lock (Python 3.11 or newer)

.venv/.complete: requirements.lock
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		echo "Armillary needs Python 3.11 or newer; found '$(PYTHON)'. Name one: make PYTHON=/path/to/python3.11 setup" >&2; \
		exit 1; fi
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install -qq --requirement requirements.lock
	.venv/bin/python -m compileall -q armillary
	@touch .venv/.complete

demo: setup ## run the cluster chain, small: two cores, minutes, no download
	$(SNAKEMAKE) clusters $(DEMO) --cores $(CORES) --quiet reason
	@if [ ! "$(DEMO_REPORT)" -nt "$(DEMO_METRICS)" ]; then $(SNAKEMAKE) report $(DEMO) --cores $(CORES); fi
	@echo "Report:  $(CURDIR)/$(DEMO_REPORT)"
	@echo "Numbers: $(CURDIR)/$(DEMO_METRICS)"

demo-all: setup ## run every rule set, small, and the report of all
	$(SNAKEMAKE) $(RULE_SETS) $(DEMO) --cores $(CORES) --quiet reason
	$(SNAKEMAKE) report results/demo/benchmarks/costs.md $(DEMO) --cores $(CORES)
	@echo "Report:  $(CURDIR)/$(DEMO_REPORT)"

report: setup ## write the reports of the demo run anew, ours and Snakemake's
	$(SNAKEMAKE) report $(DEMO) --cores $(CORES)
	$(SNAKEMAKE) clusters $(DEMO) --report results/demo/snakemake_report.html
	@echo "Reports: $(CURDIR)/$(DEMO_REPORT) $(CURDIR)/results/demo/snakemake_report.html"

gallery: setup ## put the numbers and figures of the demo runs into README.md and resources/gallery
	$(SNAKEMAKE) results/demo/report/gallery/README.md $(DEMO) --cores $(CORES)
	cp results/demo/report/gallery/README.md README.md
	cp results/demo/report/gallery/*.png resources/gallery

exercise: setup ## the notebook and data of an exercise: make exercise NAME=rings
	@if [ ! -e "resources/exercises/$(NAME).yaml" ]; then \
		echo "make exercise NAME=$(NAME): name one of $(EXERCISES)" >&2; exit 1; fi
	$(SNAKEMAKE) exercise_$(NAME) --cores $(CORES) --quiet reason
	@folder="results/exercises/$(NAME)"; [ -e "$$folder/exercise.ipynb" ] || cp "$$folder/original.ipynb" "$$folder/exercise.ipynb"
	@echo "Notebook: $(CURDIR)/results/exercises/$(NAME)/exercise.ipynb (yours: it is never overwritten)"
	@echo "Score:    snakemake exercise_score_$(NAME) --cores $(CORES)"

test: setup ## run the tests, one process a core
	$(TEST)

nightly: setup ## the tests, then every demo from nothing but the environment
	$(TEST)
	$(MAKE) demo-all

lint: setup ## check the style of code and rules
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint

format: setup ## bring code and rules into that style
	.venv/bin/python -m ruff check --fix-only --quiet .
	.venv/bin/python -m ruff format .
	.venv/bin/python -m snakefmt Snakefile rules

profiles: ## link profiles/* where `snakemake --profile slurm` looks for them
	@folder="$${XDG_CONFIG_HOME:-$$HOME/.config}/snakemake"; mkdir -p "$$folder"; \
	for name in slurm narval bridges2; do \
		if [ -e "$$folder/$$name" ] && [ ! -L "$$folder/$$name" ]; then \
			echo "$$folder/$$name is there already and no link; left as it is" >&2; \
		else ln -sfn "$(CURDIR)/profiles/$$name" "$$folder/$$name"; echo "$$folder/$$name -> profiles/$$name"; fi; done

narval: ## on a Narval login node: build .venv from the site's wheels, link the profiles
	@bash -l profiles/narval/setup.sh

bridges2: ## on a Bridges-2 login node: build .venv with the site's Python, link the profiles
	@bash -l profiles/bridges2/setup.sh
