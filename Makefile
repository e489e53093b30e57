# `make test` needs Go and nothing else; what needs more says so and skips. `make check` is what a change must pass.
GO ?= go
export CGO_ENABLED ?= 0
TESTFLAGS ?=
FUZZTIME ?= 20s
CHECKS ?= 5000
SEEDS ?= 1000
RUNS ?= 200
SEED ?= 0
ATONCE ?= 12

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
EXHAUSTIVE := github.com/nishanths/exhaustive/cmd/exhaustive@v0.17.1
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
OAPI := github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
SQLC := github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1

.PHONY: build test check lint race bench fuzz faults chaos generate generated clean

build:
	$(GO) build -o .build/sparekey ./cmd/sparekey

test:
	$(GO) test $(TESTFLAGS) ./...

check: lint generated test

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(EXHAUSTIVE) -d -typeignore '^(reflect\.Kind|github\.com/goccy/go-yaml/token\.Type)$$' ./...
	@$(GO) run $(GOVULNCHECK) ./... > .build-vulns 2>&1; code=$$?; \
	if grep -q 'no such host\|dial tcp\|connection refused\|forbidden\|Forbidden\|403' .build-vulns; then echo "skipped: govulncheck, its database cannot be reached from here"; code=0; \
	else cat .build-vulns; fi; rm -f .build-vulns; exit $$code

# The race detector needs cgo, and so a C compiler.
race:
	CGO_ENABLED=1 $(GO) test -race -skip 'AProcessKilled|AGrantWhoseEndCame|APersonWhoIsDisabledWhile' ./strict ./org ./audit ./rules ./access ./internal/store ./internal/jobs ./internal/api ./internal/metrics ./internal/aws ./internal/sandbox/...
	CGO_ENABLED=1 $(GO) test -race -run 'TestFromTheRequest|TestTheSameKey|TestWhoLeaves|TestOnlyOneBroker' ./internal/broker

# Figures for docs/performance.md.
bench:
	$(GO) test -run '^$$' -bench . -skip Restart -benchtime 5x ./cmd/sparekey
	$(GO) test -run '^$$' -bench Restart -benchtime 1x ./cmd/sparekey
	$(GO) test -run '^$$' -bench . ./rules ./internal/broker
	$(GO) test -run '^$$' -bench . -benchtime 1x ./internal/jobs

# Every fuzz target, FUZZTIME each.
fuzz:
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$package || exit 1; \
		done; \
	done

# Arbitrary schedules of people, faults of AWS, crashes and time against the promises that grants make: CHECKS of the lifecycle
# alone, SEEDS of replicas over a real store, on each engine.
faults:
	$(GO) test ./access -run TestGrantsKeepTheirPromises -rapid.checks=$(CHECKS) -rapid.steps=60
	$(GO) test ./internal/jobs -run TestSchedules -rapid.checks=$(SEEDS) -timeout 0

# RUNS of real processes that are killed, stopped, restored from a backup, upgraded and failed over, ATONCE of them at a time, since they
# wait more than they work. A run that fails says its SEED, with which it is played again.
chaos:
	$(GO) test ./internal/chaos -run TestChaos -v -chaos.runs=$(RUNS) -chaos.seed=$(SEED) -parallel $(ATONCE) -timeout 0

# Generated files: the drawings in the docs, the schema of rules, the OpenAPI document and its client, the queries.
generate:
	$(GO) test ./access -run Drawing -update
	$(GO) test ./rules -run TestTheSchema -update
	$(GO) run ./internal/api/document internal/api/openapi.json
	cd internal/api/client && $(GO) run $(OAPI) -config config.yaml ../openapi.json
	$(GO) test ./internal/cli -run TestTheManual -update
	if $(GO) test ./internal/store -run TestTheQueriesAreGenerated >/dev/null; then echo "queries are up to date"; \
	else cd internal/store && CGO_ENABLED=1 $(GO) run $(SQLC) generate && cd ../.. && $(GO) test ./internal/store -run TestTheQueriesAreGenerated -update; fi
	$(GO) test ./internal/arch -run TestTheRequirements -update

# Fails when a generated file is not what it is generated from.
generated: generate
	@git diff --exit-code -- docs rules/schema.json internal/api/openapi.json internal/api/client internal/store/query

clean:
	rm -rf .build
