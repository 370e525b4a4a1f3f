# make demo    the main job on images that come with the package; ends with the dashboard open
# make test    lint, types and tests
# make clean   forgets the demo's data and runs; make distclean forgets .venv as well
#
# Your own images:  make demo DATA=path/to/folder PROFILE=chest-xray
# Another PyTorch:  make demo TORCH=torch==2.8.0   (the pinned one has no gigabytes of CUDA)

PROFILE ?= brain-mri
DATA    ?= data/phantom
RUN     ?= runs/$(if $(filter data/phantom+brain-mri,$(DATA)+$(PROFILE)),demo,$(notdir $(DATA))-$(PROFILE))
PORT    ?= 8501
# A demo should not take longer than a coffee, and the phantom has no detail that a finer grid could show.
SHORTER  = $(if $(filter runs/demo,$(RUN)),--set training.steps=1500 --set input.size=64)
TORCH   ?= torch==2.13.0
PYTHON  ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13,$(shell \
             $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

ANOGAN = .venv/bin/anogan
TOOLS  = .venv/bin/python -m

.PHONY: demo test lint programs clean distclean
.DELETE_ON_ERROR:

# Every stage is skipped when its result is there. `train --resume` goes on after a kill, or starts. Exit code 1 is also
# that of a command that has done its work and left files out: what is there then counts.
demo: .venv/installed
	@if [ "$(DATA)" = data/phantom ] && [ ! -e data/phantom/manifest.csv ]; then $(ANOGAN) synth data/phantom; fi
	@[ -e "$(RUN)/detector.json" ] || $(ANOGAN) train "$(DATA)" --profile "$(PROFILE)" --run "$(RUN)" $(SHORTER) --resume \
		|| [ -e "$(RUN)/detector.json" ]
	@[ -e "$(RUN)/results/evaluation.json" ] || { { \
		$(ANOGAN) calibrate "$(RUN)" "$(DATA)" || ! grep -q '"calibration": null' "$(RUN)/detector.json"; } \
		&& $(ANOGAN) evaluate "$(RUN)" "$(DATA)"; }
	@$(ANOGAN) dashboard "$(RUN)" --port $(PORT)

test: .venv/installed-dev programs lint
	$(TOOLS) pytest

lint: .venv/installed-dev
	$(TOOLS) ruff check .
	$(TOOLS) ruff format --check .
	$(TOOLS) mypy

# Some tests drive real programs: a browser, a PACS, another DICOM toolkit, a validator, a database. What is missing and
# cannot be installed is skipped, and pytest says so.
programs:
	@missing=; for pair in chromium:chromium Orthanc:orthanc storescu:dcmtk dciodvfy:dicom3tools psql:postgresql; do \
		command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	case "$$missing" in *orthanc*) missing="$$missing orthanc-dicomweb";; esac; \
	[ -z "$$missing" ] \
		|| { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install --yes --no-install-recommends $$missing; } \
		|| echo "missing and not to be installed here:$$missing; the tests that need them will be skipped"

# torch is named beside the package, so that pip never looks for a newer one with gigabytes of CUDA.
.venv/installed: pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "anogan needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3"; exit 1; }
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	$(TOOLS) pip install "$(TORCH)" --editable '.[all]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(TOOLS) pip install "$(TORCH)" --editable '.[all,dev]'
	@touch $@

clean:
	rm -rf data/phantom runs/demo .pytest_cache .mypy_cache .ruff_cache

distclean: clean
	rm -rf .venv
