# faultline: see README.md. "make help" lists what there is.

GO      ?= go
BIN     := bin/faultline
LIBRARY := scenarios/library
COUNT   ?= 1
FUZZTIME ?= 20s
TIME    ?= auto
KILLS   ?= 50
RUNS    ?= 1000
TIMES   ?= 100
COLUMNS ?= virtual,memory,tcp,containers
AGREE   ?= $(LIBRARY)/iot-platform
SCENARIOS ?= $(addprefix $(LIBRARY)/iot-platform/,poison-telemetry.yaml worker1-crash.yaml worker1-crash.broken.yaml)

# Tests that need a Docker daemon carry the build tag "containers"; a file of them that reads KILLS
# belongs to "make kills" alone. Only these tests run: "make test" has run their neighbours.
TAGGED     = $(shell grep -rlE --include='*_test.go' '^//go:build .*\bcontainers\b' .)
KILLING    = $(if $(TAGGED),$(shell grep -l '"KILLS"' $(TAGGED)))
CONTAINED  = $(filter-out $(KILLING),$(TAGGED))
names      = ^($(shell sed -nE '$(test_name)' $(1) | paste -sd'|' -))$$
test_name  = s/^func ((Test|Example)[A-Za-z0-9_]*)[^A-Za-z0-9_].*/\1/p
folders    = $(sort $(dir $(1)))
in_docker  = env $$(.ci/docker/env) $$(.ci/programs env) $(GO)

# Tests of brokers start them one after the other: a machine with two of them at work is too slow for
# what they measure. Where a program cannot be had their tests are left out, and the last lines say so.
BROKERS    = ./simulators/conn/... ./topology/engine/process/...
OPINION    = ./assertions ./assertions/history ./assertions/secondopinion
others     = $(filter-out $(shell $(GO) list $(BROKERS) $(OPINION)),$(shell $(GO) list ./...))

# Runs kept in $$kept are compared, and removed when all went well.
compared   = if .ci/programs duckdb; then \
	    env $$(.ci/programs env) python-duckdb assertions/secondopinion/secondopinion.py "$$kept"/*; \
	  else \
	    echo '!!! NO SECOND OPINION: see the line of "programs:" above.'; \
	  fi && rm -rf "$$kept"

.DEFAULT_GOAL := help
.PHONY: help build demo test virtual second-opinion real frozen replay test-containers conformance kills agree brokers library lint golden fuzz bench ci

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

build: $(BIN) ## build bin/faultline

$(BIN): $(shell find . -name '*.go' -not -name '*_test.go' -not -path './bin/*') go.mod go.sum
	$(GO) build -trimpath -o $@ ./cmd/faultline

demo: build ## run the iot-platform, take a partner cloud away, print the verdict
	$(BIN) run $(LIBRARY)/iot-platform/partner-cloud-outage.yaml

# What can be run in virtual time, and what cannot: its engines or programs are not in this process.
REAL       = $(LIBRARY)/own-worker $(wildcard $(LIBRARY)/brokers/amqp-* $(LIBRARY)/brokers/kinesis-*)
VIRTUAL    = $(filter-out $(LIBRARY)/own-worker/% $(REAL),$(wildcard $(LIBRARY)/*/*.yaml))

# On 2026-12-01 a split took ten seconds here until moto had told all of it, and recovery was unknown,
# with the program of before virtual time too.
SLOW       = $(wildcard $(LIBRARY)/brokers/kinesis-shards-split*)

virtual: build ## every scenario that can be in virtual time, and its broken twin; COUNT=10 repeats
	$(BIN) test $(VIRTUAL) --time virtual --count $(COUNT)

second-opinion: build ## the same runs, with what their verdicts rest on recomputed by SQL in DuckDB
	@.ci/programs duckdb
	@kept=$$(mktemp -d) && \
	  $(BIN) test $(VIRTUAL) --time virtual --count $(COUNT) --keep --out "$$kept" && $(compared)

test: ## all tests, with the race detector; programs that are missing are installed
	@if .ci/programs duckdb; then \
	  $(MAKE) --no-print-directory second-opinion && \
	  env $$(.ci/programs env) $(GO) test -race -timeout 30m $(OPINION); \
	else \
	  $(MAKE) --no-print-directory virtual && CI= $(GO) test -race -timeout 30m $(OPINION) && \
	  echo '!!! NO SECOND OPINION: see the line of "programs:" above.'; \
	fi
	@$(GO) test -race -timeout 30m $(others)
	@if .ci/programs; then \
	  env $$(.ci/programs env) $(GO) test -race -p 1 -timeout 30m $(BROKERS); \
	else \
	  CI= $(GO) test -race -p 1 -timeout 30m $(BROKERS) && \
	  echo '!!! THE TESTS OF RABBITMQ AND MOTO HAVE NOT RUN: see the line of "programs:" above.'; \
	fi

# One package at a time: verdicts need a machine that is not busy with others.
test-containers: ## tests with real brokers, in Docker; images that cannot be pulled are built
	@.ci/docker/up
	@$(if $(CONTAINED),,echo 'no test carries the tag "containers"')
	$(if $(CONTAINED),$(in_docker) test -race -p 1 -tags containers -timeout 40m -count 1 \
	  -run '$(call names,$(CONTAINED))' $(call folders,$(CONTAINED)))

# From within its folder, where go test shows what a test that passes has printed.
conformance: ## what every broker's client and engine keeps of its claims, as a matrix
	@.ci/programs
	@.ci/docker/up || echo 'containers are not available here'
	@$(in_docker) test -C simulators/conn/conformance -count 1 -timeout 60m -run '^TestBrokers$$' \
	  -args -matrix -sets embedded,process,container

kills: ## kill runs in containers KILLS times at random moments and look for what they left
	@.ci/docker/up
	@$(if $(KILLING),,echo 'no test with the tag "containers" reads KILLS')
	$(if $(KILLING),KILLS=$(KILLS) $(in_docker) test -tags containers -timeout 60m -count 1 \
	  -run '$(call names,$(KILLING))' $(call folders,$(KILLING)))

frozen: ## RUNS random fault runs in virtual time over every engine; none may stop the clock
	RUNS=$(RUNS) $(GO) test -count 1 -timeout 60m -run '^TestNoRandomFaultsFreezeTheClock$$' ./scenarios/runner

replay: build ## every scenario in virtual time TIMES times: one seed must give one history
	$(GO) run ./scenarios/replay -times $(TIMES) $(VIRTUAL)

agree: ## the library's verdicts in virtual time, over memory, sockets and on containers: COLUMNS
	@case $(COLUMNS) in *containers*) .ci/docker/up ;; esac
	$(in_docker) run ./scenarios/agree -columns $(COLUMNS) $(AGREE)

brokers: ## verdicts of SCENARIOS with the stream on kafka, kinesis, amqp and nats, side by side
	@.ci/programs
	env $$(.ci/programs env) $(GO) run ./scenarios/agree -vary stream.protocol=kafka,kinesis,amqp,nats $(SCENARIOS)

real: build ## the scenarios that cannot be in virtual time, and their broken twins
	@kept=$$(mktemp -d) && if .ci/programs; then \
	  env $$(.ci/programs env) $(BIN) test $(filter-out $(SLOW),$(REAL)) --time real --parallel 1 \
	    --count $(COUNT) --keep --out "$$kept" && $(compared) && \
	  echo '!!! NOT RUN HERE, SINCE A SLOW MACHINE ENDS ITS LOAD TOO SOON TO JUDGE: $(SLOW); make library runs it.'; \
	else \
	  $(BIN) test $(LIBRARY)/own-worker --time real --count $(COUNT) --keep --out "$$kept" && \
	  $(compared) && \
	  echo '!!! THE SCENARIOS OF RABBITMQ AND MOTO HAVE NOT RUN: see the line of "programs:" above.'; \
	fi

library: build ## run every shipped scenario and broken twin, compare; COUNT=10 repeats, TIME=real
	@if .ci/programs; then \
	  env $$(.ci/programs env) $(BIN) test $(LIBRARY) --time $(TIME) --count $(COUNT); \
	else \
	  $(BIN) test $(filter-out %/brokers,$(wildcard $(LIBRARY)/*)) --time $(TIME) --count $(COUNT) && \
	  echo '!!! THE SCENARIOS OF RABBITMQ AND MOTO HAVE NOT RUN: see the line of "programs:" above.'; \
	fi

lint: ## formatting, vet, design faults of the shipped topologies, mistakes in the shipped scenarios
	@test -z "$$(gofmt -l assertions cmd reports scenarios simulators topology)" || { gofmt -l . ; exit 1; }
	$(GO) vet -tags containers ./...
	@! command -v shellcheck >/dev/null || shellcheck -x $$(grep -rlE '^#!.*sh$$|shellcheck shell' .ci)
	$(GO) run ./cmd/faultline lint topology/examples/iot-platform.yaml
	$(GO) run ./cmd/faultline validate topology/examples/*.yaml topology/examples/own-worker/python/*.yaml $(LIBRARY)/*/*.yaml

golden: ## write the golden files anew; look at the difference before you commit it
	$(GO) test ./topology ./topology/d2 ./scenarios ./reports -update

fuzz: ## fuzz every parser for FUZZTIME each
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench: build ## the promised figures beside what they are here, as one table; takes some minutes
	$(GO) run ./scenarios/bench -long

ci: lint test real ## what CI runs; in containers too, where a Docker daemon can be had
	@.ci/docker/ci
