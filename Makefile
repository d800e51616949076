# The two commands: `make quickstart` and `make test`. Each sets up all that it needs.
SHELL := /bin/bash
.PHONY: quickstart stop build test check clean setup help

help:
	@echo "make quickstart   build, fetch demo models, start the server on 8000/8001/8002"
	@echo "make stop         end the server that quickstart started"
	@echo "make test         unit, golden, integration and conformance tests"
	@echo "make build        build/release/nereid"
	@echo "./check           what a change must pass (./check fast while working)"

setup:
	@tools/setup/apt.sh build
	@tools/setup/deps.sh onnxruntime llama

build: setup
	@tools/build.sh release nereid

quickstart: build
	@tools/quickstart.sh start

stop:
	@tools/quickstart.sh stop

test: setup
	@tools/build.sh release all
	@tools/test.sh

check: setup
	@./check

clean:
	rm -rf build
