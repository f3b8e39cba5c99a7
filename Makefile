# Each target makes its environment if it is missing.
PYTHON ?= python3
ENVIRONMENT = .venv/.complete
# The validator of crates wants other versions of packages that we use.
CRATE_ENVIRONMENT = .venv/crate/.complete
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: study smollm2 test chaos cluster check pull hooks readme graph bench plans sweep

study: $(ENVIRONMENT)  ## the default study: tables and figures
	snakemake --cores 8 --resources gpu=1

smollm2: $(ENVIRONMENT)  ## the study of a real model, SmolLM2-135M-Instruct, in some hours; stopped, it goes on where it was
	snakemake --cores 8 --directory studies/smollm2-135m --configfile config/smollm2-135m.yaml

test: $(ENVIRONMENT) $(CRATE_ENVIRONMENT)  ## the tests
	pytest

chaos: $(ENVIRONMENT)  ## tiny studies under random kills, at least ten and fifty: byte-identical to an undisturbed one
	rm -rf .chaos
	python tests/chaos.py .chaos

cluster: $(ENVIRONMENT)  ## the tiny study through SLURM on this machine, as root (apt-get install slurm-wlm munge): the same bytes
	.venv/bin/pip install --disable-pip-version-check --quiet -r requirements-slurm.txt
	pytest -m long -rs tests/cluster

check: $(ENVIRONMENT)  ## lint, format, and a dry-run of every shipped config
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	python tests/lint_workflow.py
	@for overlay in config/*.yaml; do echo "dry-run of $$overlay"; \
		snakemake --dry-run --quiet --configfile $$overlay || exit 1; done

pull: $(ENVIRONMENT)  ## what was published of the default study, instead of making it
	dvc pull

hooks: $(ENVIRONMENT)  ## lint and format before every commit
	.venv/bin/pip install --disable-pip-version-check --quiet -c constraints.txt pre-commit==4.7.0
	pre-commit install

readme: $(ENVIRONMENT)  ## put what the default study found into the README
	python docs/update_readme.py

bench: $(ENVIRONMENT)  ## how fast a training step is, what is learned better, and when it has converged: bench/results
	python -m bench.training
	python -m bench.parametrisation
	python -m bench.convergence
	python -m bench.roughness

plans: $(ENVIRONMENT)  ## what the full-scale studies will take, as a table
	python -m bench.plans

MODEL = bench/models/llama-3.2-1b
sweep: $(ENVIRONMENT)  ## the published sweep on Llama-3.2-1B's shape with random weights, and its cost by stage (a GPU)
	test -f $(MODEL)/config.json || python -m bench.shapes llama-3.2-1b $(MODEL)
	snakemake --cores 8 --resources gpu=1 --configfile bench/llama-3.2-1b-random.yaml
	snakemake cost --cores 1 --configfile bench/llama-3.2-1b-random.yaml

graph: $(ENVIRONMENT)  ## the rules and how they hang together, as mermaid
	snakemake --rulegraph mermaid-js

$(ENVIRONMENT): requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv || { echo 'python3 -m venv failed: on Debian and Ubuntu, install python3-venv'; exit 1; }
	.venv/bin/pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(CRATE_ENVIRONMENT): envs/crate.txt $(ENVIRONMENT)
	$(PYTHON) -m venv .venv/crate
	.venv/crate/bin/pip install --disable-pip-version-check --quiet --progress-bar off -r envs/crate.txt
	touch $@
