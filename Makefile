# The commands of README.md. Each sets up what it needs (tools/setup) and can be run in a fresh clone.

.DEFAULT_GOAL := help
.PHONY: help demo test check bench setup clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: ## audit the shipped captures of both sensors and leave an HTML report
	@tools/setup
	@tools/demo

test: ## every check and test; ends with one summary line
	@tools/setup --dev
	@tools/test

check: ## format, lint, types and the import rule, no tests
	@tools/setup --dev
	@tools/test --lint

bench: ## packets per CPU-second, beside a bare packet walk
	@tools/setup --dev
	@.venv/bin/python tools/bench.py

setup: ## the environment in .venv alone
	@tools/setup --dev

clean: ## forget the environment and everything built
	rm -rf .venv .cache parsers/target parsers/*.so dist
