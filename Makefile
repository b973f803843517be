# Everything that a contributor or CI runs. "make help" lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOL    := $(GO) tool -modfile=tools.mod

# What every package's tests may take together; they start servers and clusters.
TEST_TIMEOUT ?= 20m
BENCH        ?= .
BENCHTIME    ?= 1s
PKG          ?= ./...
ARGS         ?=

.PHONY: help build run demo test lint bench fmt clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/orderflow, static and stamped with the version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/orderflow ./cmd/orderflow

run: ## run the whole system in one process (ARGS="--ephemeral" …)
	$(GO) run ./cmd/orderflow up $(ARGS)

demo: ## run the guided demonstration and end
	$(GO) run ./cmd/orderflow up --demo --ephemeral

test: ## test everything with the race detector, in random order (PKG=./pkg/esjs)
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout $(TEST_TIMEOUT) $(PKG)

lint: ## check the code's rules and its format
	$(GO) vet ./...
	$(TOOL) golangci-lint run

bench: ## run the benchmarks (BENCH=regexp BENCHTIME=1s PKG=./pkg/esjs)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $(PKG)

fmt: ## format the code
	$(TOOL) golangci-lint fmt

clean: ## remove what was built; ./data, which holds events, stays
	rm -rf bin dist
