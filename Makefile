# Everything that a person or a machine runs on this project. `make` alone lists it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile
# As many processes as the machine can feed. Each test file stays in one of them, and the files keep their order: the
# other one, most tests first, leaves the longest file with its one test for the end.
PYTEST := $(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder
# Which az the tests run on: the one that tests/e2e/requirements.txt pins, or another release (CLI=2.80.0), or the core of
# a release and nothing more (CORE=2.75.0), which some tests are skipped for. Each in a VENV of its own.
AZ_PACKAGES := $(if $(CORE),azure-cli-core==$(CORE) azure-common msrest,$\
	$(if $(CLI),azure-cli==$(CLI),-r tests/e2e/requirements.txt))
SPARK := 4.3.0
OLDEST_SPARK := 4.1.4
MASTER := local[2]
OLDEST := $(shell sed -n 's/.*"azext.minCliCoreVersion": "\(.*\)".*/\1/p' azext_dicomtoken/azext_metadata.json)
# The az that is there, or else one in the virtual environment.
AZ := $(shell command -v az 2>/dev/null || echo $(BIN)/az)

BUILD_READY := $(VENV)/build-ready
EMULATOR_READY := $(VENV)/emulator-ready
AZ_READY := $(if $(filter $(BIN)/az,$(AZ)),$(VENV)/az-ready)
TESTS_READY := $(VENV)/tests-ready
LINT_READY := $(VENV)/lint-ready
# The viewer that `make viewer` opens in a browser: one release, without what it depends on, which is built into it.
OHIF_VERSION := 3.12.10
OHIF_SHA256 := fbabd410be33e5b9898931b725229b9da9553aac339914b5c29796d3aa5d4b2d
OHIF := $(VENV)/ohif-$(OHIF_VERSION)
VENDORED := azext_dicomtoken/vendored_sdks/__init__.py

# az has thousands of modules, which it would compile again at each start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help test test-slow not-slow slow pytest viewer oldest spark spark-full spark-tests lint fix matrix demo picture \
	build release bench mutants clean

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' Makefile | expand -t 20

# Each is a stage of .ci/run. Which tests are slow, their files say: `pytestmark = pytest.mark.slow`.
test: lint not-slow  ## lint, and every test that is not slow, with the emulator and the real az

test-slow: slow oldest  ## the rest: kills, following for minutes, the index of extensions, the oldest core of az

not-slow:
	$(MAKE) --no-print-directory pytest ARGS="-m 'not slow and not viewer'"

# A few long tests: whoever is free takes the next one, from whatever file.
slow:
	$(MAKE) --no-print-directory pytest ARGS='-m slow --dist worksteal'

pytest: $(TESTS_READY)  ## all tests, slow ones included; ARGS="tests/az -k claims" chooses some
	$(PYTEST) $(ARGS)

viewer: $(TESTS_READY) $(OHIF)  ## OHIF in Chromium draws a study through the proxy, and leaves a picture in build/
	OHIF=$(OHIF) $(PYTEST) -m viewer tests/e2e/software

oldest:  ## the tests that run az in one process, on the oldest release that the extension takes
	$(MAKE) --no-print-directory pytest VENV=.venv-core-$(OLDEST) CORE=$(OLDEST) ARGS=tests/az

spark:  ## the change feed as a source of Spark: batch, and a stream without kills; needs java
	$(MAKE) --no-print-directory spark-tests ARGS="-m 'not slow'"

spark-full:  ## the same on the oldest and the newest Spark, one machine and a cluster of processes, with kills
	$(MAKE) --no-print-directory spark-tests
	$(MAKE) --no-print-directory spark-tests MASTER='local-cluster[2,1,1024]'
	$(MAKE) --no-print-directory spark-tests VENV=.venv-spark-$(OLDEST_SPARK) SPARK=$(OLDEST_SPARK)
	$(MAKE) --no-print-directory spark-tests VENV=.venv-spark-$(OLDEST_SPARK) SPARK=$(OLDEST_SPARK) \
		MASTER='local-cluster[2,1,1024]'

# In environments without az. Sessions of Spark share two cores badly, so one process runs the tests.
spark-tests: VENV = .venv-spark
spark-tests:
	@$(MAKE) --no-print-directory VENV=$(VENV) SPARK=$(SPARK) $(VENV)/spark-ready
	SPARK_TEST_MASTER='$(MASTER)' $(VENV)/bin/python -m pytest -q tests/spark $(ARGS)

matrix:  ## the tests on several releases of az, and on each Python that is at hand; ARGS="3.13 core" chooses some
	$(PYTHON) scripts/matrix.py $(ARGS)

lint: $(LINT_READY)  ## ruff over everything, mypy over both packages, azdev's style and linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/python scripts/azdev_check.py all low

fix: $(LINT_READY)  ## repair what lint can repair automatically: order of imports, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: $(BUILD_READY) $(EMULATOR_READY) $(AZ_READY)  ## walk through the main job, in a cloud that is emulated on this machine
	@AZ=$(AZ) PYTHON=$(BIN)/python scripts/demo.sh

picture: $(TESTS_READY)  ## draw the picture in README anew: what check-access and --count-by show on a terminal
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python -m scripts.picture docs/terminal.svg

build: $(BUILD_READY)  ## build the wheel into dist/
	$(BIN)/python scripts/build_wheel.py dist

release: $(BUILD_READY)  ## build the wheel, its SHA-256 and an extension index; URL=... is where the wheel will be
	$(BIN)/python -m scripts.release dist $(URL)

bench: $(TESTS_READY)  ## run the benchmarks, those of Spark too; they want the machine for themselves
	@$(MAKE) --no-print-directory VENV=.venv-spark .venv-spark/spark-ready
	$(BIN)/python -m benchmarks
	.venv-spark/bin/python -m benchmarks.spark

mutants: $(TESTS_READY)  ## take each rule of the reader out in turn, and see that a test fails
	@$(MAKE) --no-print-directory VENV=.venv-spark .venv-spark/spark-ready
	$(BIN)/python scripts/mutants.py

clean:  ## remove what was built or installed here
	rm -rf .venv .venv-* .demo azext_dicomtoken/vendored_sdks build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems leave out what puts pip into a new environment; any pip from 22.3 on can do it, too.
$(VENV)/created:
	@echo 'Making a virtual environment in $(VENV) ...'
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install -qq pip; }
	@touch $@

# Code of others that the wheel carries and git does not have.
$(VENDORED): scripts/vendor.py | $(VENV)/created
	@$(BIN)/python scripts/vendor.py
	@touch $@

$(BUILD_READY): scripts/requirements.txt $(VENDORED) | $(VENV)/created
	@$(PIP_INSTALL) --upgrade --target $(VENV)/build -r scripts/requirements.txt
	@touch $@

$(EMULATOR_READY): tests/emulator/requirements.txt | $(VENV)/created
	@echo 'Installing what the emulator needs ...'
	@$(PIP_INSTALL) -r tests/emulator/requirements.txt
	@touch $@

$(VENV)/spark-ready: tests/spark/requirements.txt tests/emulator/requirements.txt scripts/requirements.txt | $(VENDORED)
	@echo 'Installing Spark $(SPARK); this takes a minute ...'
	@$(PIP_INSTALL) -r tests/spark/requirements.txt pyspark==$(SPARK)
	@touch $@

$(VENV)/az-ready: tests/e2e/requirements.txt | $(VENV)/created
	@echo 'Installing az, as there is none; this takes two minutes ...'
	@$(PIP_INSTALL) -r tests/e2e/requirements.txt
	@touch $@

$(TESTS_READY): tests/requirements.txt tests/e2e/requirements.txt $(BUILD_READY) $(EMULATOR_READY)
	@echo 'Installing what the tests need, and $(or $(CORE:%=the core of az %),$(strip az $(CLI))); this takes up to two minutes ...'
	@$(PIP_INSTALL) -r tests/requirements.txt $(AZ_PACKAGES)
	@# Nothing is compiled yet; an older az loads all of itself at its first start, and some compiles with warnings.
	@$(if $(CORE),,AZURE_CONFIG_DIR=$(VENV)/first-start $(BIN)/az --help >/dev/null 2>&1)
	@touch $@

$(OHIF): | $(VENV)/created
	@echo 'Downloading the viewer OHIF, 48 MB ...'
	@rm -rf $@.new && mkdir $@.new
	@cd $@.new && npm pack --silent @ohif/app@$(OHIF_VERSION) >/dev/null && \
		echo '$(OHIF_SHA256)  ohif-app-$(OHIF_VERSION).tgz' | sha256sum --check --quiet && \
		tar -xzf ohif-app-$(OHIF_VERSION).tgz
	@mv $@.new/package/dist $@ && rm -r $@.new

$(LINT_READY): scripts/lint-requirements.txt $(TESTS_READY)
	@$(PIP_INSTALL) -r scripts/lint-requirements.txt
	@touch $@
