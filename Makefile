# Each target makes its environment if it is missing.
PYTHON ?= python3
ENVIRONMENT = .venv/.complete
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: study test check pull readme graph

study: $(ENVIRONMENT)  ## the default study: tables and figures
	snakemake --cores 8 --resources gpu=1

test: $(ENVIRONMENT)  ## the tests
	pytest

check: $(ENVIRONMENT)  ## lint, format, and a dry-run of every shipped config
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	@for overlay in config/*.yaml; do echo "dry-run of $$overlay"; \
		snakemake --dry-run --quiet --configfile $$overlay || exit 1; done

pull: $(ENVIRONMENT)  ## what was published of the default study, instead of making it
	dvc pull

readme: $(ENVIRONMENT)  ## put what the default study found into the README
	python docs/update_readme.py

graph: $(ENVIRONMENT)  ## the rules and how they hang together, as mermaid
	snakemake --rulegraph mermaid-js

$(ENVIRONMENT): requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv || { echo 'python3 -m venv failed: on Debian and Ubuntu, install python3-venv'; exit 1; }
	.venv/bin/pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	touch $@
