SHELL := /bin/bash
ENV := source tools/env.sh &&

.PHONY: setup sim test lint bench

setup:  ## virtual environment, packages, headless GL, built workspace: only what is missing
	@tools/setup.sh

sim: setup  ## a LIBERO task through ROS 2; arguments: make sim ARGS="task:=3 init_state:=7 mode:=realtime"
	@$(ENV) exec ros2 launch hilam_ros libero_sim.launch.py $(ARGS)

test: setup  ## the whole suite, a file a core; ARGS="-m 'not slow'" for the quick part
	@$(ENV) python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

lint: setup  ## style and types
	@$(ENV) ruff check . && ruff format --check . && mypy -p hilam_core -p hilam_sim

bench: setup  ## the simulation beside stock LIBERO (ARGS="--help"), and learning (LEARNING="--help"), as tables
	@$(ENV) python -m hilam_sim.bench $(ARGS)
	@$(ENV) python training/bench.py $(LEARNING)
