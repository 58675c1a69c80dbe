# faultline: see README.md. "make help" lists what there is.

GO      ?= go
BIN     := bin/faultline
LIBRARY := scenarios/library
COUNT   ?= 1
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build demo test library lint golden fuzz bench ci

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

build: $(BIN) ## build bin/faultline

$(BIN): $(shell find . -name '*.go' -not -name '*_test.go' -not -path './bin/*') go.mod go.sum
	$(GO) build -trimpath -o $@ ./cmd/faultline

demo: build ## run the iot-platform, take a partner cloud away, print the verdict
	$(BIN) run $(LIBRARY)/iot-platform/partner-cloud-outage.yaml

test: ## all tests, with the race detector
	$(GO) test -race -timeout 30m ./...

library: build ## run every shipped scenario and broken twin and compare with what it expects; COUNT=10 repeats
	$(BIN) test $(LIBRARY) --count $(COUNT)

lint: ## formatting, vet, design faults of the shipped topologies, mistakes in the shipped scenarios
	@test -z "$$(gofmt -l assertions cmd reports scenarios simulators topology)" || { gofmt -l . ; exit 1; }
	$(GO) vet ./...
	$(GO) run ./cmd/faultline lint topology/examples/iot-platform.yaml
	$(GO) run ./cmd/faultline validate topology/examples/*.yaml $(LIBRARY)/*/*.yaml

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

ci: lint test library ## what CI runs
