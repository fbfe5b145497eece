# Everything is installed into .venv; only Python 3.11 or newer and make are needed beforehand.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	path=$$(command -v $$name) && \
	$$path -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$path && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed
AIRFLOW ?=

# uv trusts what pip trusts, so that it works where a company inspects TLS: the system's certificates
# (UV_NATIVE_TLS is what older versions call it), or those that SSL_CERT_FILE or pip's setting names.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1
CERT_OF_PIP := $(BIN)/python -m pip config list 2>/dev/null | sed -n "s/^global\.cert='\(.*\)'/\1/p"
UV := file="$${SSL_CERT_FILE:-$${PIP_CERT:-$$($(CERT_OF_PIP))}}"; \
	$${file:+env SSL_CERT_FILE="$$file"} $(BIN)/uv

.PHONY: help demo ui test pytest test-ui docs-screenshots test-random test-matrix test-faults test-airflow test-mutation lint format bench docs clean

help:
	@echo "make demo         dump and refresh a small shop database in a real Airflow"
	@echo "make ui           Airflow's web interface with a week of dumps; it goes on where it was left"
	@echo "make test         lint, types and the tests"
	@echo "make test-ui      the test in a browser, which it installs where it is missing (minutes)"
	@echo "make test-random  all tests, in another order each time"
	@echo "make test-matrix  PostgreSQL 14 to 18 in every pair, and random databases (half an hour)"
	@echo "make test-airflow adapters on Airflow 3.1 to 3.3 with Python 3.11 to 3.13 (half an hour)"
	@echo "make test-faults  breaks servers, storage and processes on purpose (a quarter of an hour)"
	@echo "make test-mutation changes the code in small ways, which tests must notice (half an hour)"
	@echo "make lint         ruff and mypy only"
	@echo "make bench        how long each verb takes, beside its peers (an hour)"
	@echo "make docs         the documentation, as a site in docs/_build/html"
	@echo "make docs-screenshots the pictures of the documentation, made by the test in a browser"
	@echo "make clean        remove what these commands have made"

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer on PATH: set PYTHON=..."; exit 1; }
	@echo "Installing into .venv with $(PYTHON) (about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) pip install --quiet --python $(BIN)/python --group dev --editable . $(AIRFLOW)
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python -m example_dags.demo run

ui: $(INSTALLED)
	@$(BIN)/python -m example_dags.demo ui

# The types are checked meanwhile: tests wait for servers most of the time.
test: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

# More than there are cores, since tests mostly wait; each worker has its own servers.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
pytest: $(INSTALLED)
	$(PYTEST)

# In Debian's chromium; `make test` runs it as well, where chromium is there.
BROWSER_TEST := $(BIN)/python -m pytest tests/ui
SUDO = $(shell test "$$(id -u)" = 0 || echo sudo)
INSTALL_CHROMIUM = command -v chromium >/dev/null || \
	{ $(SUDO) apt-get update --quiet && $(SUDO) apt-get install --quiet --yes chromium; }
test-ui: $(INSTALLED)
	@$(INSTALL_CHROMIUM)
	$(BROWSER_TEST)

docs-screenshots: $(INSTALLED)
	@$(INSTALL_CHROMIUM)
	TEST_SCREENSHOTS=docs/images $(BROWSER_TEST)

test-random: $(INSTALLED)
	$(PYTEST) -p randomly

# On servers of every version, which are kept in .postgres; what pg_restore says there as well.
OF_EACH_VERSION := tests/core/executing/test_messages_of_pg_restore.py \
	tests/core/executing/test_statements.py tests/verbs/test_constraints.py \
	tests/verbs/test_binary_copies.py tests/verbs/test_rows_of_psql.py \
	tests/core/checking/test_restore_checks.py tests/core/masking/rules/test_documented_rules.py \
	tests/core/masking/planning/test_corners.py tests/verbs/test_masked_dump.py \
	tests/verbs/test_verify.py tests/verbs/test_messages_of_functions.py \
	tests/faults/test_waiting_entries.py
BIN_DIR_OF := $(BIN)/python -m tests.support.programs.postgres_bin_dir
test-matrix: $(INSTALLED)
	TEST_MATRIX=1 $(BIN)/python -m pytest tests/verbs/test_archive_tools.py \
		tests/verbs/test_version_matrix.py tests/verbs/test_round_trip.py \
		tests/verbs/test_real_schemas.py tests/verbs/test_postgis.py \
		tests/docs/test_restore_keeps.py
	for major in 14 15 16 17 18; do \
		TEST_FAULTS=1 TEST_POSTGRES_BIN_DIR=$$($(BIN_DIR_OF) $$major) \
		$(BIN)/python -m pytest $(OF_EACH_VERSION) || exit 1; done

# In environments that are kept in .matrix. COMBINATIONS="3.1/3.12 3.3/3.11" runs some of them.
test-airflow: $(INSTALLED)
	$(BIN)/python -m tests.support.programs.airflow_versions $(COMBINATIONS)

# All of them; `make test` runs a quick choice.
test-faults: $(INSTALLED)
	TEST_FAULTS=1 $(PYTEST) tests/faults

# Whether the tests of the code without I/O notice when it is changed. PACKAGES="archive reading"
# chooses some of it; SAMPLE=40 tries that many mutants of each, and SAMPLE=all all of them.
PACKAGES ?=
SAMPLE ?=
test-mutation: $(INSTALLED)
	@$(UV) pip install --quiet --python $(BIN)/python --group mutation
	$(BIN)/python -m tests.mutation $(PACKAGES) $(if $(SAMPLE),--sample $(SAMPLE))

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	@$(UV) pip install --quiet --python $(BIN)/python --group bench
	@$(BIN)/python -m bench

docs: $(INSTALLED)
	@$(UV) pip install --quiet --python $(BIN)/python --group docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --fresh-env \
		docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

# The folder of the demo's server may be elsewhere, by a link.
clean:
	@if [ -L .demo/ui/postgres ]; then rm -rf "$$(readlink .demo/ui/postgres)"; fi
	rm -rf docs/_build .venv .demo .postgres .matrix .mutation .mypy_cache .ruff_cache .pytest_cache .hypothesis
