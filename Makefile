PYTHON ?= python3
COMMA := ,
VENV := .venv
ROS_SETUP := $(firstword $(wildcard /opt/ros/*/setup.bash))
# with a ROS 2 the tests build the package by colcon; WITH=train adds the training tools
EXTRAS := test$(if $(ROS_SETUP),$(COMMA)colcon)$(if $(WITH),$(COMMA)$(WITH))
RUN := bash -c 'set -e; $(if $(ROS_SETUP),source $(ROS_SETUP);) source $(VENV)/bin/activate; exec "$$@"' run

.PHONY: demo test lint docs bench train-smoke clean

demo: $(VENV)/.demo  ## run the main job on the sample bag: poses, overlay video, error against the ground truth
	@$(VENV)/bin/hpe run assets/sample_bag --out hpe_out/demo --overwrite
	@$(VENV)/bin/hpe eval bag assets/sample_bag --estimate demo=hpe_out/demo/poses:/head_pose --ground-truth /truth/head_pose --out hpe_out/demo/evaluation --overwrite
	@echo 'results: hpe_out/demo (poses.csv, poses/ bag, overlay.mp4, summary.json)'

test: $(VENV)/.test  ## all tests; with a ROS 2 under /opt/ros the node tests too
	@$(VENV)/bin/ruff check .
	@$(RUN) python -m pytest
	@$(if $(ROS_SETUP),echo "ROS 2: tests marked 'ros' were run with $(ROS_SETUP); skips and their reasons stand above",echo "ROS 2: none under /opt/ros, tests marked 'ros' were skipped")

lint: $(VENV)/.test $(VENV)/.lint  ## style, and types by pyright
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(RUN) pyright

docs: $(VENV)/.docs  ## the documentation site in site/; dead links and anchors are errors
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo 'open site/index.html, or: $(VENV)/bin/python -m mkdocs serve'

train-smoke: $(VENV)/.test  ## two training steps on synthetic scenes
	@$(VENV)/bin/python -m pytest -m train_smoke

bench: $(VENV)/.test
	@$(VENV)/bin/python -m bench.latency

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else "Python 3.10 or newer is needed, got %d.%d" % v)'
	@echo "creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "venv failed: on Debian and Ubuntu run 'sudo apt install python3-venv'"; rm -rf $(VENV); exit 1; }

$(VENV)/.demo: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "installing hpe_ros (about a minute, once) ..."
	@$(VENV)/bin/pip install --disable-pip-version-check --progress-bar on -q -e .
	@touch $@

$(VENV)/.test: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "installing hpe_ros with its test tools (a few minutes, once) ..."
	@$(VENV)/bin/pip install --disable-pip-version-check --progress-bar on -q -e '.[$(EXTRAS)]'
	@touch $(VENV)/.demo $@

$(VENV)/.lint: setup.py | $(VENV)/bin/python
	@$(VENV)/bin/pip install --disable-pip-version-check --progress-bar on -q -e '.[lint]'
	@touch $@

$(VENV)/.docs: setup.py | $(VENV)/bin/python
	@$(VENV)/bin/pip install --disable-pip-version-check --progress-bar on -q -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) hpe_out site .pytest_cache .ruff_cache .hypothesis
