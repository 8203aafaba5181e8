# `make` alone lists the verbs.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
READY := .venv/ready
.DEFAULT_GOAL := help
.PHONY: help book test every-page serve lab notebooks check record offline \
  pdf lighthouse axe bench bench-compare faults environments lock clean

help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

# jupyter-book, without a look for garbage after every 700 new objects; the
# book's extensions look later and seldom.
BUILD := import gc; gc.disable(); from jupyter_book.cli.main import main; main()

book: $(READY)  ## execute what is stale and build the book into _build/html
	@$(BIN)/python -c "$(BUILD)" build . -W -n --keep-going -q || \
	  { cat _build/failures.txt; exit 1; }
	@echo "Read it: _build/html/index.html"
	@cat _build/summary.txt

# Tests that neither measure nor start clusters run side by side.
QUIET := $(addprefix one_machine/test_, async_io first_model randomness vectors) \
  production/test_native $(addprefix toolbox/test_, builds curves datasets device \
  downloads edits environments exercises faults figures files formats marks paper prose records)
APART := tests/accelerators tests/extensions $(wildcard tests/test_*.py) \
  $(QUIET:%=tests/%.py)

test: $(READY)  ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(APART); apart=$$?; \
	  $(BIN)/python -m pytest $(APART:%=--ignore=%) && exit $$apart

every-page: $(READY)  ## show every page to a browser: widths, themes, quizzes, axe
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --every-page tests/test_browser.py tests/test_explore.py

serve: book  ## build and serve the book at http://127.0.0.1:8000 (PORT=…)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT) || \
	  { echo "Nothing is served at port $(PORT): choose another one, PORT=…" >&2; exit 1; }

notebooks: book  ## build the book and its launchable notebooks
	@echo "Notebooks: _build/notebooks"

lab: notebooks  ## open JupyterLab with your copies of the chapters, in lab/
	@cd _build/html/notebooks && find . -name "*.ipynb" | while read -r name; do \
	  mine="$(CURDIR)/lab/$$name"; \
	  if cmp -s "$$name" "$$mine"; then continue; fi; \
	  if test -e "$$mine"; then echo "Kept as it is: $$mine"; else \
	    mkdir -p "$$(dirname "$$mine")" && cp "$$name" "$$mine" || exit 1; fi; \
	done
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=lab

check: $(READY)  ## lint, format, types, links inside the book
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --preview --select PLW1514 .  # text is UTF-8 everywhere
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_layout.py tests/test_launch.py

record: $(READY)  ## measure this machine into code/parallel_ai/recorded
	@$(BIN)/python -m parallel_ai.toolbox.records

offline: book  ## pack the book to be read without a network
	@$(BIN)/python -m parallel_ai.toolbox.pages archive

pdf: book  ## print the whole book into one PDF
	@$(BIN)/python -m parallel_ai.toolbox.paper

lighthouse: book  ## Lighthouse's marks for every page, with and without gzip
	@$(BIN)/python -m parallel_ai.toolbox.marks lighthouse
	@$(BIN)/python -m parallel_ai.toolbox.marks lighthouse --plain

axe: book  ## what axe finds on every page, at each width, in both themes
	@$(BIN)/python -m parallel_ai.toolbox.marks axe

bench: $(READY)  ## compare, side by side, what the book compares
	@$(BIN)/python -m parallel_ai.toolbox.benches --folder _build/bench

bench-compare: $(READY)  ## say what changed between the records OLD=… and NEW=…
	@$(BIN)/python -m parallel_ai.toolbox.benches --compare $(OLD) $(NEW)

faults: $(READY)  ## inject faults and count what is lost by them
	@$(BIN)/python -m parallel_ai.toolbox.faults --folder _build/faults

environments: $(READY)  ## run the tests in every environment (ONLY=… TESTS=…)
	@$(BIN)/python -m parallel_ai.toolbox.environments \
	  --folder _build/environments --only "$(ONLY)" $(TESTS)

lock: $(READY)  ## pin every dependency again into requirements.txt
	@$(BIN)/python -m pip install --quiet uv
	@echo "-e ." > requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
	  --all-extras --group book --group dev --quiet --no-header \
	  --no-annotate --no-emit-index-url >> requirements.txt

clean:  ## delete everything that was built, except the environment
	@rm -rf _build
