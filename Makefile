# `make demo` mattes the example photo, `make test` runs the tests; both install what they need into .venv first.
# On Windows, type the lines of the README's section "Windows" instead.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= out
# Processes that run the tests, about 2 GB of memory each; the tests of a file stay together.
PROCESSES ?= 2

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	mkdir -p $(OUT)
	$(BIN)/matte predict examples/portrait.jpg --mask examples/portrait_mask.png \
	    --save-trimap $(OUT)/portrait_trimap.png --what alpha,cutout --out-dir $(OUT) --overwrite
	$(BIN)/matte composite examples/portrait.jpg $(OUT)/portrait_alpha.png -b examples/background.jpg \
	    -o $(OUT)/portrait_composite.png --overwrite
	@echo "The pictures are in $(OUT)/: portrait_trimap.png, portrait_alpha.png, portrait_cutout.png and portrait_composite.png"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mattecli needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) build dist
