# Sluice. `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
TRIPLE := x86_64-unknown-linux-gnu
BINARIES := sluice-operator sluice-gateway-agent sluice-lab sluice-echo sluice-pause sluice-demo sluice-bench kubectl-sluice
LAB := target/release/sluice-lab
# Always the same packages together in release: another choice would have other
# features of their dependencies, and build those once more.
RELEASE := --release -p nfnetlink -p sluice-gateway-agent -p sluice-operator -p sluice-e2e -p kubectl-sluice

.PHONY: help setup build images lab lab-down demo test test-full test-unit \
        test-kernel test-ovn test-e2e e2e-run chart-test alerts-test docs docs-test sim model mutants mutants-all \
        chaos fuzz lint gen bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Check the machine, install and build what is missing
	@scripts/setup.sh

build: ## Build the release binaries
	@echo "build: Rust binaries (release)"
	@cargo build $(RELEASE) --bins
	@mkdir -p target/release
	@for b in $(BINARIES); do ln -f target/$(TRIPLE)/release/$$b target/release/$$b; done

images: setup ## Pack the container images into target/images
	@$(LAB) images

lab: setup ## Bring up a cluster that stays
	@$(LAB) up

lab-down: ## Remove every trace of the cluster
	@if [ -x $(LAB) ]; then $(LAB) down; else echo "lab-down: nothing was built, nothing to remove"; fi

demo: setup ## Show the main job: NAT in both families, and the race
	@target/release/sluice-demo

test: setup ## Run all tests, short form
	@scripts/test.sh unit kernel ovsdb e2e

test-full: setup ## Run all tests, long form
	@scripts/test.sh --full unit kernel ovsdb ovn e2e

test-unit: ## Run the tests that need no root
	@scripts/test.sh unit

test-kernel: ## Run netlink and packets in network namespaces
	@scripts/test.sh kernel

test-ovn: setup ## Run the OVN data plane on a real OVN network
	@OVSDB_UPDATES=1000000 scripts/test.sh ovsdb ovn

test-e2e: setup ## Run the scenarios on the lab
	@scripts/test.sh e2e

# The scenarios themselves; scripts/test.sh counts them. E2E_ARGS: filter, --full, --lab NAME.
e2e-run:
	@cargo test --quiet $(RELEASE) --test e2e -- $(E2E_ARGS)

# SEED is that of the first round; one that failed is replayed by its own.
chaos: setup ## Break everything at random on the lab (MINUTES, 60 by default; SEED)
	@cargo test --quiet $(RELEASE) --test e2e -- --chaos $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

chart-test: ## Lint and render the Helm chart
	@scripts/chart-test.sh

alerts-test: ## Fire every alert, parse the dashboard
	@scripts/alerts-test.sh

docs: ## Build the documentation as a book into target/book
	@scripts/mdbook.sh && target/tools/bin/mdbook build docs

docs-test: ## Follow all links, try all examples and commands of the documentation
	@scripts/docs-test.sh

# SECS=60 or COUNT=1000 schedules, from SEED on (by the clock where it is not given);
# NOTES=600 shows so many last steps of what failed.
sim: ## Run random schedules of the whole protocol (SECS, SEED, COUNT)
	@$(if $(SECS),SIM_SECS=$(SECS)) $(if $(COUNT),SIM_COUNT=$(COUNT)) $(if $(SEED),SIM_SEED=$(SEED)) \
	  $(if $(NOTES),SIM_NOTES=$(NOTES)) \
	  cargo test --quiet --release -p sluice-core --lib -- proof::sim::long --ignored --nocapture

model: ## Look at every order of steps in small worlds
	@cargo test --quiet --release -p sluice-core --lib -- proof::model --ignored --nocapture

mutants: ## Make known mistakes in core, and see which tests catch them (NAMES)
	@scripts/mutants.sh $(NAMES)

# FILE=agent/ or SAMPLE=150 (SEED) for some of them; AGAIN=missed for what was not caught.
mutants-all: ## Make all mutants that cargo-mutants lists for core, and count the caught (FILE, SAMPLE)
	@scripts/mutants-all.sh

fuzz: ## Feed the parsers for long (SECS each, 60 by default)
	@FUZZ_SECS=$(or $(SECS),60) cargo test --quiet -p sluice-fuzz -p sluice-crds -p sluice-core \
	  -p nfnetlink -p ovsdb-client -p sluice-gateway-agent -p sluice-operator -p kubectl-sluice --lib --test fuzz -- fuzz_ --test-threads 1

lint: ## Check format, lints, documentation links, dependencies
	@scripts/lint.sh

gen: ## Write deploy/crds and docs/api from the types, install.yaml from the chart
	@cargo run --quiet -p sluice-crds --bin crdgen
	@cargo run --quiet -p sluice-crds --bin apigen
	@scripts/install-yaml.sh

krew: ## Pack the kubectl plugin and its krew manifest into target/krew
	@scripts/krew.sh

bench: setup ## Measure, beside what one would otherwise run
	@target/release/sluice-bench

clean: lab-down ## Remove everything that was built
	@rm -rf target
