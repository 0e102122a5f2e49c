# What people do with this checkout. Everything needs Go alone, but for the race detector
# (a C compiler). bench takes wrk where there is one.

# A test that fails before a pipe fails the target.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

TOOL := go tool -modfile=tools.mod
BOUNDS := -bound-entries 1000000 -bound-keys 100000 -strict

.PHONY: build test race lint generate soak soak-parts bench

build: ## the station binary, in bin/
	go build -o bin/station ./cmd/station

test: ## the tests, with small counts
	go test ./...
	go -C sdk/examples test ./...

race: ## the tests with the race detector, in random order
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 20m ./sdk/transport/transporttest ./plugins/storage-tsv ./...
	CGO_ENABLED=1 go -C sdk/examples test -race -shuffle=on ./...

lint: ## vet, and the linter of tools.mod
	go vet ./...
	go -C sdk/examples vet ./...
	$(TOOL) golangci-lint run ./...
	cd sdk/examples && go tool -modfile=../../tools.mod golangci-lint run ./...

generate: ## the protobuf code, from sdk/proto
	$(TOOL) buf generate

# The parts of make soak, in its order: make soak-faults runs one.
SOAK := increments tail steady faults terms slow requests bounds file archives hostile bundled changes packages
# Those of packages measure no time, and keep one processor busy each: they go two at a time.
PACKAGES := store programs crash damage kv bolt lua syncs

soak: ## the tests with full counts and their time limits, on a plain build; PART=4 or PART=faults goes on from there
	@n=0; go=$(if $(PART),,yes); for part in $(SOAK); do n=$$((n+1)); \
		case "$(PART)" in $$n|$$part) go=yes;; esac; [ "$$go" ] || continue; \
		echo "== part $$n: $$part"; \
		$(MAKE) --no-print-directory soak-$$part || { echo "part $$n failed; go on with: make soak PART=$$n"; exit 1; }; \
	done; [ "$$go" ] || { echo "there is no part $(PART); make soak-parts lists them"; exit 2; }

soak-parts: ## the parts of soak, with their numbers
	@n=0; for part in $(SOAK); do n=$$((n+1)); echo "$$n $$part"; done

STATION_SOAK := go test -count=1 -timeout 60m -v ./cmd/station -run
STORE_SOAK := GOGC=400 go test -count=1 -timeout 30m ./plugins/storage-tsv -run
LUA_SOAK := go test -count=1 -timeout 30m ./framework/luahost -run

soak-increments:
	$(STATION_SOAK) 'TestIncrements|TestKernelKilled|TestStorageKilled' \
		-args -increments 10000 -connections 64 -kernel-kills 10 -storage-kills 5 -strict
soak-tail:
	$(STATION_SOAK) 'TestTail' -args -tail-entries 50000
soak-steady:
	$(STATION_SOAK) 'TestSteady' -args -steady-time 10m -steady-kills 20s -steady-clients 16 -strict
soak-faults:
	$(STATION_SOAK) 'TestFaults|TestKernelKilledInTrouble' -parallel 4 -args -faults 50 -strict
soak-terms:
	$(STATION_SOAK) 'TestTermUnderLoad|TestTermTwice' -args -terms 50 -strict
soak-slow:
	$(STATION_SOAK) 'TestSlowConnections' -args -slow 500 -strict
soak-requests:
	go test -count=1 -timeout 30m ./plugins/transport-http -run '^$$' -fuzz FuzzRequest -fuzztime 5m
soak-bounds:
	$(STATION_SOAK) 'TestBounds' -args $(BOUNDS)
soak-file:
	$(STATION_SOAK) 'TestLargeFile' -args -file-size 104857600 -strict
soak-archives:
	$(STATION_SOAK) 'TestTenFiles|TestLargeArchive' -args -each-file 104857600 -strict
soak-hostile:
	$(STATION_SOAK) 'TestHostileStation|TestNearStation|TestStationMemory' -args -hostile 0 -strict
soak-bundled:
	$(STATION_SOAK) 'TestTokenCheckCost|TestBlogCost' -args -users 10000 -posts 10000 -strict
soak-changes:
	go test -count=1 -timeout 30m -v ./framework/kernel -run 'TestRandomChanges' -args -live-rounds 400
soak-packages:
	$(MAKE) --no-print-directory -j2 --output-sync=target $(PACKAGES:%=soak-%)
soak-store:
	$(STORE_SOAK) 'TestContract|TestConformance|TestStateProperty|TestHotKey' -args -rapid.checks 100 -hot-key 1000000
soak-crash:
	$(STORE_SOAK) 'TestCrashEverywhere$$' -v -args -crash-seeds 20 -crash-points 2000 | grep -v '^ *--- PASS\|^=== '
soak-syncs:
	$(STORE_SOAK) 'TestEverySyncCounts$$' -v
soak-damage:
	$(STORE_SOAK) 'TestEveryByte$$|TestIndexDamage$$' -args -damage-stride 1
soak-kv:
	go test -count=1 -timeout 30m ./sdk/storage/kv -run 'TestConformance' -args -rapid.checks 1000
soak-bolt:
	go -C sdk/examples test -count=1 -timeout 30m ./storage-bolt -run 'TestConformance' -args -rapid.checks 200
soak-lua:
	$(LUA_SOAK) 'TestBenign$$|TestHostileScripts$$' -args -benign 10000 -hostile 0
soak-programs:
	$(LUA_SOAK) 'TestPrograms$$' -v -args -programs 20000

# CASE=counter-64 measures that case of a station and nothing else, CASE='counter-.*' those of that expression; FIGURES=BENCHMARKS.md writes what
# was measured into that file; PROFILES=DIR writes processor profiles of the control.
bench: ## a station under load, what a large object's commits cost, and what one call costs in the packages on its way
	go test -count=1 -timeout 3h -v ./cmd/station -run 'TestSpeed/$(if $(CASE),^($(CASE))$$$$)' \
		-args -speed-full -speed-time 10s -speed-warm 5s -speed-runs 5 $(if $(FIGURES),-speed-file $(abspath $(FIGURES))) $(if $(PROFILES),-speed-profiles $(abspath $(PROFILES)))
ifeq ($(CASE),)
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestRates' -args $(BOUNDS) -pairs 10 -side 1500ms
	go test -run '^$$' -bench . -benchmem ./framework/luahost ./plugins/...
endif
