# `make help` lists what there is. Everything runs in the virtual environment of the README.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv check lint types test docs demo models bench sweep startup performance format clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

$(BIN)/leip: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -e '.[test,cross]'
	@touch $@

venv: $(BIN)/leip ## Make .venv with leip (editable) and the test tools

check: lint types test ## All that CI runs

lint: venv ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: venv ## Let ruff format everything
	$(BIN)/ruff format .

types: venv ## mypy, strict
	@mkdir -p .venv/src && ln -sfn "$(CURDIR)" .venv/src/leip
	MYPYPATH=.venv/src $(BIN)/mypy -p leip

test: venv ## All tests, with the IR checked after every pass (at most 15 minutes on 2 cores)
	LEIP_VERIFY=2 $(BIN)/pytest -n 2

docs: venv ## Run the code blocks of README and docs/
	$(BIN)/pytest -n0 tests/test_docs.py

demo: venv ## Compile and run the digits network
	$(BIN)/leip demo

models: venv ## Every model of the zoo at levels 1-4 against ONNX Runtime; writes docs/models.md
	$(BIN)/python bench/all_models.py

bench: venv ## Times of leip and its peers, POINT=1…6 of the aims; writes bench/results/
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/python bench/compare.py $(if $(POINT),--point $(POINT))

sweep: venv ## 200 random shapes, SEED=1, against ONNX Runtime
	$(BIN)/python bench/sweep.py --seed $(or $(SEED),1)

startup: venv ## Import to first result, peak memory and idle CPU against ONNX Runtime
	$(BIN)/python bench/startup.py

performance: venv ## Table and plot of docs/performance.md from bench/results/
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/python bench/report.py

clean: ## Remove what was built here (not the kernel cache)
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache leip-demo
