# lorasmith: `make demo` shows the whole trip, `make test` proves it. The rest is in `make help`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# People without a GPU save gigabytes with: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Tests that wait for processes leave a core to others: three at once for two cores.
JOBS ?= 3

export HF_HUB_OFFLINE ?= 1
export OMP_NUM_THREADS ?= 1
# Compiled modules are kept, whatever the surroundings say: every process of the product starts from them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test suite lint quick types format faults bench-identification bench-recipes bench-ablation bench-rungs bench-full-size bench-acknowledgement bench-fairness bench-judging bench-learning clean chromium

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.demo: EXTRAS := demo
$(VENV)/.dev: EXTRAS := demo,dev
$(VENV)/.demo $(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV) (a minute or two) ..."
	$(PIP) torch
	$(PIP) -e ".[$(EXTRAS)]"
	touch $(VENV)/.demo $@

demo: $(VENV)/.demo ## the whole trip over the loopback Discord: pictures in, a voted LoRA out (ARGS="--serve" keeps the chat page)
	@OMP_NUM_THREADS= $(BIN)/lorasmith demo $(ARGS)

test: quick chromium ## lint, types, import contracts and every test: exactly what CI runs
	@$(MAKE) --no-print-directory -j2 types suite

suite: $(VENV)/.dev # what tests import is compiled once, not by every tester at the same moment
	$(BIN)/python -c "import bot.__main__, trainer.gpu.child" >/dev/null 2>&1
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q --durations=40 --durations-min=4

lint: quick types ## ruff, mypy --strict, import contracts

quick: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chromium: # the page tests look at pages in a real browser: Debian's chromium
	@command -v chromium >/dev/null || { echo "installing chromium for the page tests ..."; \
	  SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$SUDO apt-get update -qq && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null; }

KILLS ?= 20
faults: $(VENV)/.dev ## kill bot, supervisor and child at every gap (KILLS=20)
	$(BIN)/python -m tests.faults.series --kills $(KILLS)

SUBJECTS ?= 20
COMMUNITIES ?= 8
bench-identification: $(VENV)/.dev ## does each LoRA draw its own subject and no other (SUBJECTS=20)? kept in runs/, resumable
	$(BIN)/python -m tests.benchmarks.identification --subjects $(SUBJECTS)

bench-recipes: $(VENV)/.dev ## ours against the recipes that people use, at equal compute (SUBJECTS=20); hours; kept in runs/, resumable
	$(BIN)/python -m tests.benchmarks.recipes --subjects $(SUBJECTS)

bench-ablation: $(VENV)/.dev ## which techniques help the pocket, each at equal compute (SUBJECTS=20); hours; kept in runs/, resumable
	$(BIN)/python -m tests.benchmarks.ablation --subjects $(SUBJECTS)

bench-rungs: $(VENV)/.dev ## memory that every base takes on every rung, estimated; with BASE=sdxl the CUDA peaks beside it, on a GPU
	$(BIN)/python -m tests.benchmarks.rungs $(if $(BASE),--base $(BASE))

bench-full-size: $(VENV)/.dev ## a whole order on random weights of full size: 20 steps, kill, resume, previews, export (BASE=sdxl); needs a GPU
	$(BIN)/python -m tests.benchmarks.full_size --base $(or $(BASE),sdxl) $(ARGS)

bench-acknowledgement: $(VENV)/.dev ## how fast the bot answers, and its size, while a worker trains
	$(BIN)/python -m tests.benchmarks.acknowledgement

ORDERS ?= 10000
bench-fairness: $(VENV)/.dev ## 50 communities of unequal greed on the real queue, against bounds that are derived (ORDERS=10000); half an hour
	$(BIN)/python -m tests.benchmarks.fairness --orders $(ORDERS)

bench-judging: $(VENV)/.dev ## which checkpoint, which scale, when to stop, judged where the truth is known (SUBJECTS=40 is the study); hours; kept in runs/, resumable
	$(BIN)/python -m tests.benchmarks.judging --subjects $(SUBJECTS)

bench-learning: $(VENV)/.dev ## what learning from votes is worth, on made-up members (COMMUNITIES=8); a minute
	$(BIN)/python -m tests.benchmarks.learning --communities $(COMMUNITIES)

clean: ## remove what was built, keep what was trained
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
