# Gatehouse. `make` alone lists what there is.

GO      ?= go
PKG     ?= ./...
ARGS    ?=
FUZZTIME ?= 10s
MUTANTS ?= ./vault ./vault/backup ./vault/kek ./vault/leak ./vault/egress ./gateway/identity

# Tools run at the versions that internal/toolchain/go.mod pins.
TOOL     := $(GO) tool -modfile=internal/toolchain/go.mod
PGSERVER := $(GO) run ./internal/db/pgtest/cmd/pgserver
GUESTS   := adapters/guests/dist/shipped.zip
SHIPPED  := telegram slack discord whatsapp-cloud webhook
ENGINE   := adapters/guests/dist/quickjs.wasm
NEEDS    := internal/toolchain/needs

# Everything is watched for races but one package that is not ours: whatsmeow's
# socket reads its connection without the lock under which it is closed.
RACE := -race -gcflags=go.mau.fi/whatsmeow/socket=-race=false

# What a release is built for, and what it says of itself.
VERSION = $(shell git describe --tags --always --dirty)
RELEASE ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.DEFAULT_GOAL := help
.PHONY: help run build permissive release guests test needs verify check fmt format vet lint arch tidy generate deadcode vuln reproducible bench soak mutants fuzz clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Building and running need Go alone.

run: build ## build and start the gateway; ARGS="--config FILE" is passed on
	bin/gatehouse run $(ARGS)

build: bin/gatehouse ## build bin/gatehouse, one static file

bin/gatehouse: guests FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $@ ./cmd/gatehouse

permissive: guests ## build bin/gatehouse-nowhatsapp, without code under the GPL
	CGO_ENABLED=0 $(GO) build -trimpath -tags=nowhatsapp -ldflags='-s -w' -o bin/gatehouse-nowhatsapp ./cmd/gatehouse

# Both editions for each system; their names, and `gatehouse version`, say which
# is which.
release: guests ## build both editions for all systems into bin/release, with their sums
	rm -rf bin/release && mkdir -p bin/release
	@for system in $(RELEASE); do for tag in '' nowhatsapp; do \
		os=$${system%/*}; arch=$${system#*/}; name=gatehouse-$$os-$$arch$${tag:+-$$tag}; \
		if [ $$os = windows ]; then name=$$name.exe; fi; echo "bin/release/$$name"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -tags="$$tag" -ldflags="-s -w -X main.version=$(VERSION)" -o bin/release/$$name ./cmd/gatehouse || exit 1; \
	done; done
	cd bin/release && sha256sum gatehouse-* > SHA256SUMS

guests: $(GUESTS) $(ENGINE) ## build the guests that are shipped, from their sources

# Compiled C: only where its tools are, and nothing else waits for it. Without
# it there is no kit for JavaScript.
$(ENGINE): $(wildcard channels/guest/kits/js/engine/*)
	@if command -v clang wasm-ld cargo >/dev/null 2>&1 && [ -f /usr/include/wasm32-wasi/stdlib.h ]; then \
		echo 'building the engine for JavaScript'; channels/guest/kits/js/engine/build $@ || \
		{ rm -f $@; echo 'the engine for JavaScript could not be built; all else works without it'; }; \
	else echo 'no clang, lld, cargo and WASI library: built without the engine for JavaScript'; fi

$(GUESTS): FORCE
	$(GO) run ./internal/module/pack -o $@ ./adapters/guests/program $(SHIPPED:%=./adapters/guests/%)

# Nothing that is built is committed: make build makes the guests anew, and what it
# packs is what these sources give. Here nothing is taken from an earlier build.
reproducible: ## build the guests twice, from nothing, and compare their bytes
	@tmp=$$(mktemp -d) && trap 'chmod -R u+w "$$tmp"; rm -rf "$$tmp"' EXIT && for n in 1 2; do mkdir $$tmp/$$n && \
		GOCACHE=$$tmp/cache$$n $(MAKE) --no-print-directory guests GUESTS=$$tmp/$$n/shipped.zip ENGINE=$$tmp/$$n/quickjs.wasm || exit 1; done && \
	diff -r $$tmp/1 $$tmp/2 && (cd $$tmp/1 && sha256sum *)

## Tests bring their own Postgres; see internal/db/pgtest.

test: needs ## run all tests, after installing what they need; PKG=./vault/... for a part
	$(PGSERVER) exec -- $(TOOL) gotestsum --format=pkgname --format-hide-empty-pkg -- \
		$(RACE) -shuffle=on -timeout=40m $(TESTFLAGS) $(PKG)
	@echo '== places at which the process may die'
	$(GO) test -tags=failpoint -run=Failpoint -count=1 ./gateway/bus/sqlite

needs:
	@$(NEEDS)

bench: build ## print the table of speed and size
	$(GO) test -run='^$$' -bench=. -benchmem -timeout=60m $(TESTFLAGS) ./internal/e2e/... ./adapters/telegram/... ./adapters/slack/... ./adapters/discord ./gateway/bus/sqlite \
		./vault ./vault/egress ./vault/leak/... ./gateway/identity ./adapters/webhook/... ./adapters/whatsapp/... ./memory/sqlite ./memory/postgres
	$(GO) test -run='^$$' -bench=. -benchtime=1x -timeout=30m $(TESTFLAGS) ./adapters/wasm
	$(GO) test -run='^$$' -bench=. -benchmem $(TESTFLAGS) ./internal/sandbox/...

soak: needs ## run the crash and load tests at full length
	GATEHOUSE_SOAK=1 $(PGSERVER) exec -- $(TOOL) gotestsum --format=standard-verbose -- \
		-run=Soak -count=1 -timeout=120m $(TESTFLAGS) ./internal/e2e/... ./vault/leak

mutants: ## make mistakes in the code, and report those that its tests do not notice
	$(GO) run ./internal/mutation -o docs/mutation.md -least 85 $(MUTANTS)

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" internal/toolchain/fuzz $(PKG)

## What a change has to pass.

verify: check test vuln ## all checks and all tests; what CI runs

check: format vet lint arch tidy generate deadcode ## the checks without the tests

fmt: ## rewrite the sources as gofumpt has them
	$(TOOL) gofumpt -w .

format:
	@echo '== format'
	@bad=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$bad" ]; then echo "$$bad"; echo 'not formatted; make fmt does it'; exit 1; fi

vet:
	@echo '== vet'
	$(GO) vet ./...
	$(GO) vet -tags=nowhatsapp ./adapters/whatsapp/... ./cmd/gatehouse

lint:
	@echo '== lint'
	$(TOOL) golangci-lint run

arch:
	@echo '== import rules'
	$(GO) test -count=1 ./internal/archtest

tidy:
	@echo '== go.mod is tidy'
	$(GO) mod tidy -diff
	cd internal/toolchain && $(GO) mod tidy -diff

generate:
	@echo '== generated files are current'
	@state() { git status --porcelain; git diff | git hash-object --stdin; }; \
	before=$$(state) && $(GO) generate ./... && after=$$(state) && \
	if [ "$$before" != "$$after" ]; then git status --short; echo 'go generate changed files; commit them'; exit 1; fi

deadcode:
	@echo '== dead code'
	@dead=$$($(TOOL) deadcode -test ./...) || exit 1; \
	if [ -n "$$dead" ]; then echo "$$dead"; echo 'nothing reaches these; remove them'; exit 1; fi

# govulncheck exits with 3 when the code calls something that is known to be
# vulnerable. Any other failure means that its database was out of reach.
vuln:
	@echo '== known vulnerabilities'
	@$(TOOL) govulncheck ./...; code=$$?; \
	if [ $$code -eq 3 ]; then exit 1; fi; \
	if [ $$code -ne 0 ]; then echo 'the vulnerability database could not be asked: NOT checked'; fi

clean: ## remove what was built
	rm -rf bin
