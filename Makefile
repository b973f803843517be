# Everything that a contributor or CI runs. "make help" lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# What every package's tests may take together; they start servers and clusters.
TEST_TIMEOUT ?= 40m
BENCH        ?= .
BENCHTIME    ?= 1s
# Of all packages those that have benchmarks: tests of the others need not be linked. bench-json has a module of its own.
BENCH_PACKAGES = $(if $(filter ./...,$(PKG)),$(shell grep -rl --include='*_test.go' '^func Benchmark' . | grep -v /jsonbench/ | xargs -n1 dirname | sort -u),$(PKG))
PKG          ?= ./...
ARGS         ?=
# A program with the race detector sleeps for a second before it ends, for races that other threads have yet to report
# (go.dev/doc/articles/race_detector). Tests run such programs a thousand times, and what they report is seen without.
export GORACE ?= atexit_sleep_ms=0
# RERUN=1 runs a test that failed once more, for CI alone: .ci/test says what is final all the same.
RERUN        ?=
# The tests of packages, with flags of "go test". Those that take longest begin first: alone at the end they would only wait.
go-test       = $(if $(RERUN),.ci/test "$(1)" $(2),$(GO) test $(2) $(1))
# The Compose that test-compose takes: a command; v2, which is built of test/compose/compose.mod; or else what is installed.
COMPOSE ?=
# How long each target is fuzzed. Without the second one most of a minute goes into making
# an input small that was only new.
FUZZTIME         ?= 60s
FUZZMINIMIZETIME ?= 2s
# One of how many points of an order's lives has a crash.
EVERY   ?= 1
# What happens to a cluster, and for how long: see docs/reliability.md.
SEED    ?= 0
MINUTES ?= 1
FAULTS  ?=
SYNC    ?= always
# Of how many partitions the registers' store is; the order system's has one.
PARTITIONS ?= 1

.PHONY: help build run demo keys test crash load simulation nightly chaos chaos-controls soak fuzz vulncheck test-postgres test-compose test-k8s test-apiserver test-kubelet test-alerts test-browser test-plots lint bench bench-json plots fmt clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/orderflow, static and stamped with the version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/orderflow ./cmd/orderflow

run: ## run the whole system in one process (ARGS="--ephemeral" …)
	$(GO) run ./cmd/orderflow up $(ARGS)

demo: ## run the guided demonstration and end
	$(GO) run ./cmd/orderflow up --demo --ephemeral

keys: ## create what is secret in a deployment in deploy/secrets; what is there is kept
	$(GO) run ./cmd/orderflow keys deploy/secrets

test: ## test everything with the race detector, in random order (PKG=./pkg/esjs; RERUN=1, which CI sets, runs a test that failed once more)
	CGO_ENABLED=1 $(call go-test,$(patsubst ./...,./test/... ./...,$(PKG)),-race -shuffle=on -timeout $(TEST_TIMEOUT))

crash: ## kill the services at every point of an order's lives (a quarter of an hour; "make test" kills at one of 96, with the race detector)
	$(GO) test ./test/crash -count 1 -timeout 60m -every $(EVERY) -v

load: ## place many orders at once while partners fail, and read what was written while views are rebuilt (ORDERS=1000 PAIRS=10000; "make test" does a fifth and a tenth of it)
	$(GO) test ./test/e2e -count 1 -timeout $(TEST_TIMEOUT) -v -run 'TestOrdersUnderLoad|TestWritersSeeTheirOwnWrites' $(if $(ORDERS),-load-orders $(ORDERS)) $(if $(PAIRS),-pairs $(PAIRS))

simulation: ## run ten thousand generated orders in simulated time (ORDERS=100000 SEED=of the first shop; "make test" runs a tenth, with the race detector)
	$(GO) test ./test/simulation -count 1 -timeout $(TEST_TIMEOUT) -v -run TestProperties $(if $(ORDERS),-orders $(ORDERS)) $(if $(filter-out 0,$(SEED)),-seed $(SEED))

nightly: simulation crash load test-alerts test-plots bench-json ## what CI has no time for, before a release and each night, as root (an hour)
	$(GO) vet ./pkg/esjs/sqlsink ./services/projector/... # have files for builds without the tags that .golangci.yml sets
	$(GO) test ./test/damage -count 1 -timeout $(TEST_TIMEOUT) -v -every 1
	$(GO) test ./services/projector -count 1 -timeout $(TEST_TIMEOUT) -v -run TestKilled -kill-every 1
	$(MAKE) chaos SEED=0 MINUTES=10 FAULTS=all # another seed each night, which is printed
	$(MAKE) chaos-controls

chaos: ## put a cluster, and the system on it, through faults, as root (SEED=1 MINUTES=5 FAULTS=kill-one,slow or all SYNC=always PARTITIONS=1)
	$(GO) build -o bin/chaos ./test/chaos
	bin/chaos -seed $(SEED) -minutes $(MINUTES) -faults "$(FAULTS)" -sync $(SYNC) -partitions $(PARTITIONS)

chaos-controls: ## lose what servers have not synced, as root: the checkers must find that it is lost (five minutes)
	$(GO) build -o bin/chaos ./test/chaos
	for control in '-seed 11 -minutes 0.5 -faults power-all' '-seed 13 -minutes 1.5 -faults pause-and-power'; do \
		dir=$$(mktemp -d); status=0; \
		bin/chaos -keep "$$dir" -sync 2m -orders=false $$control | tee "$$dir/said" || status=$$?; \
		[[ $$status == 1 ]] && grep -q '^lost operation' "$$dir/said" || { echo "THE CHECKERS FOUND NO LOSS: $$dir"; exit 1; }; \
		rm -r "$$dir"; \
	done

soak: MINUTES = 60
soak: ## let a cluster and the system on it work and rest for an hour, with restarts, and judge what grows, as root (MINUTES=3 is a short one)
	$(GO) build -o bin/chaos ./test/chaos
	bin/chaos -soak -seed $(SEED) -minutes $(MINUTES)

fuzz: ## fuzz what comes from outside or from the store, one target on each processor, and tell how often each ran (FUZZTIME=60s each, PKG=./pkg/esjs)
	@.ci/fuzz $(FUZZTIME) $(FUZZMINIMIZETIME) $(filter-out ./...,$(PKG))

vulncheck: ## look for known vulnerabilities that can be reached (VULNDB=file:///… is a copy of the database, for where the public one is not reached)
	@.ci/vulncheck

# How far a projector reads ahead, and in what partitions, has nothing to do with the database: "make test" shows it.
test-postgres: ## test SQL sinks and views on a PostgreSQL server that the tests start; needs an installed PostgreSQL
	CGO_ENABLED=1 $(call go-test,./pkg/esjs/sqlsink/... ./services/projector/...,-race -shuffle=on -timeout $(TEST_TIMEOUT) -tags postgres \
		-skip '^(TestLargeCommitsAreNotReadAheadWithoutEnd|TestProjectionsOfThreePartitions)$$')

test-compose: $(if $(filter v2,$(COMPOSE)),bin/docker-compose) ## test docker-compose.yml with a Docker engine, as root: each container is killed (a quarter of an hour; COMPOSE=docker-compose, "docker compose", or v2, which is built)
	deploy/local/images
	COMPOSE="$(patsubst v2,$(CURDIR)/bin/docker-compose,$(COMPOSE))" $(GO) test -timeout 60m -count 1 -v -tags compose ./test/compose

# Compose v2, for where it is not installed.
bin/docker-compose: test/compose/compose.mod
	$(GO) build -modfile=$< -ldflags "-X github.com/docker/compose/v2/internal.Version=$$($(GO) list -m -modfile=$< -f '{{.Version}}' github.com/docker/compose/v2)" -o $@ github.com/docker/compose/v2/cmd

test-alerts: ## test alert rules and the dashboard with Prometheus's own code (its first build takes minutes)
	$(GO) test -modfile=prometheus.mod -tags prometheus,remove_all_sd -timeout $(TEST_TIMEOUT) ./deploy/observability

test-k8s: ## check what deploy/k8s renders to by Kubernetes' own validation (compiles a part of it)
	$(GO) test -modfile=deploy/k8s/schema/kubernetes.mod -tags kubernetes -count 1 -v -timeout $(TEST_TIMEOUT) ./deploy/k8s/schema

test-apiserver: ## apply deploy/k8s to a real API server, and roll out releases with its controllers; no container runs (ten minutes, and half an hour to compile it)
	$(GO) test -tags apiserver -timeout 60m -count 1 -v ./deploy/k8s

test-kubelet: ## run deploy/k8s as pods of a real kubelet, as root, with Docker, containerd and runc: processes are killed, a backup is brought back (twelve minutes, and half an hour to compile it)
	deploy/local/images go nats
	$(GO) test -tags apiserver,kubelet -run '^TestPodsRun$$' -timeout 60m -count 1 -v ./deploy/k8s

test-browser: ## test the web console in headless Chromium; needs an installed Chromium
	CGO_ENABLED=1 $(call go-test,./test/browser,-race -timeout $(TEST_TIMEOUT) -tags browser)

test-plots: ## test that docs/benchmarks.md shows what was recorded in docs/benchmarks
	$(GO) test -modfile=plots.mod -tags plots -count 1 -timeout $(TEST_TIMEOUT) ./docs/benchmarks/plots

lint: bin/golangci-lint ## check the code's rules, which are go vet's and more, and its format
	$< run

# A tool that "go tool" builds takes none of GOFLAGS, so that little of it would be what is built already.
bin/golangci-lint: tools.mod
	$(GO) build -modfile=$< -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bench: ## run the benchmarks (BENCH=regexp BENCHTIME=1s PKG=./pkg/esjs)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $(BENCH_PACKAGES)

bench-json: ## compare JSON libraries on stored commits (BENCHTIME=1s)
	cd pkg/esjs/internal/jsonbench && $(GO) test -bench . -benchtime $(BENCHTIME) -benchmem .

plots: ## draw what was recorded in docs/benchmarks, and print the tables that docs/benchmarks.md lacks
	$(GO) test -modfile=plots.mod -tags plots -count 1 ./docs/benchmarks/plots -draw

fmt: bin/golangci-lint ## format the code
	$< fmt

clean: ## remove what was built; ./data, which holds events, stays
	rm -rf bin dist
