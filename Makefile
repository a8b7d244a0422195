# Everything a person needs is a target here; `make help` lists them. Each does its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := $(shell tools/setup.sh --path)
PY := $(VENV)/bin/python
export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := operator:.

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}'

.PHONY: setup
setup:  ## Make the virtual environment (outside the checkout)
	@tools/setup.sh >/dev/null

.PHONY: demo
demo: setup  ## Replay the postmortem on a real Kubernetes and mend it; results in out/demo/
	@$(PY) -m lab.demo

.PHONY: demo-connections
demo-connections: setup  ## Old connections drown one pod of a plain Service; results in out/demo-connections/
	@$(PY) -m lab.demo --story connections

.PHONY: test
test: check integration e2e  ## Everything: lint, types, layers, unit, real API server, the lab

.PHONY: check
check: lint unit  ## The fast part, a few minutes: lint, types, layers, generated files, unit tests

.PHONY: lint
lint: setup
	@echo "== format and lint"; ruff format --check -q . && ruff check -q .
	@echo "== types"; mypy
	@echo "== import layers"; lint-imports --no-logo --verbose=0 2>/dev/null || lint-imports

.PHONY: unit
unit: setup  ## Unit and scenario tests, and a sample of the campaign
	@echo "== unit tests"; pytest -q -n auto tests/unit tests/scenarios tests/campaign

.PHONY: campaign
campaign: setup  ## Thousands of odd objects, late views and interruptions; write docs/explanation/trust.md (SCALE=200)
	@$(PY) -m benchmarks.campaign --scale "$(or $(SCALE),200)"

.PHONY: integration
integration: setup  ## Tests against a real API server (EVENLOAD_TEST_KUBECONFIG names a cluster of your own instead)
	@echo "== integration tests"
	@$(PY) -m lab run-control-plane --build prometheus --build envoy -- pytest -q -n 4 --dist loadgroup tests/integration

.PHONY: e2e
e2e: setup  ## Tests on the lab: real node, Traefik, Prometheus
	@echo "== end-to-end tests"; $(PY) -m lab run --build traefik-crds -- pytest -q tests/e2e

.PHONY: planes
planes: setup  ## The tests of the gateway behind Envoy Gateway, a canary of Argo Rollouts, and istiod (the first time: 25 minutes)
	@echo "== Envoy Gateway"; $(PY) -m lab run --plane envoy-gateway -- pytest -v -m gateway tests/e2e
	@echo "== Argo Rollouts"; $(PY) -m lab run-control-plane --build argo-rollouts --build traefik-crds -- \
		pytest -q tests/integration/operator/test_argo_rollouts.py
	@echo "== istiod"; $(PY) -m lab run-control-plane --build istiod --build envoy -- \
		pytest -q tests/integration/operator/test_istiod.py

.PHONY: lab-up
lab-up: setup  ## Start a lab to play in
	@$(PY) -m lab up

.PHONY: lab-shell
lab-shell: setup  ## A shell inside the lab, with kubectl and helm on the PATH
	@$(PY) -m lab shell

.PHONY: lab-down
lab-down: setup  ## Stop it; nothing stays behind
	@$(PY) -m lab down

.PHONY: benchmark
benchmark: setup  ## Figures of the hot paths, as ratios in one run
	@$(PY) -m benchmarks.engine && $(PY) -m benchmarks.tick

.PHONY: judgement
judgement: setup  ## Score the engine on fresh seeds and write docs/explanation/judgement.md (takes a while)
	@$(PY) -m benchmarks.judgement

.PHONY: mutate
mutate: setup  ## Change the engine in thousands of small ways; does a test notice? (SAMPLE=400, ONLY=plan/law)
	@$(PY) -m tools.mutation --sample "$(or $(SAMPLE),0)" --only "$(ONLY)"

.PHONY: format
format: setup  ## Format the code and mend what ruff can mend
	@ruff format -q . && ruff check -q --fix .

.PHONY: generate
generate: setup  ## Rewrite CRDs, manifests and generated reference pages
	@$(PY) -m evenload.api.crd && $(PY) -m charts.generate && $(PY) -m manifests.generate && $(PY) -m docs.generate

.PHONY: golden
golden: setup  ## Rewrite the golden files; read the diff afterwards
	@UPDATE_GOLDEN=1 pytest -q tests/unit

UV := $(VENV)-uv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-annotate \
  --custom-compile-command 'make constraints'

.PHONY: constraints
constraints: setup  ## Pin all dependencies anew, with hashes: of the checkout, of the image, and what builds the project
	@$(PY) -m venv $(VENV)-uv && $(VENV)-uv/bin/pip -q install uv
	@$(UV) --all-extras --group dev --upgrade pyproject.toml -o constraints.txt
	@$(UV) -c constraints.txt --upgrade pyproject.toml -o requirements.txt
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(UV) -c constraints.txt --upgrade - -o requirements-build.txt
	@rm -rf $(VENV)-uv
