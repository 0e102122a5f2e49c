# What people do with this checkout. Everything needs Go alone, but for bench
# (wrk) and the race detector (a C compiler).

# A test that fails before a pipe fails the target.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

TOOL := go tool -modfile=tools.mod
BOUNDS := -bound-entries 1000000 -bound-keys 100000 -strict

.PHONY: build test race lint generate soak bench

build: ## the station binary, in bin/
	go build -o bin/station ./cmd/station

test: ## the tests, with small counts
	go test ./...
	go -C sdk/examples test ./...

race: ## the tests with the race detector, in random order
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 20m ./...
	CGO_ENABLED=1 go -C sdk/examples test -race -shuffle=on ./...

lint: ## vet, and the linter of tools.mod
	go vet ./...
	go -C sdk/examples vet ./...
	$(TOOL) golangci-lint run ./...
	cd sdk/examples && go tool -modfile=../../tools.mod golangci-lint run ./...

generate: ## the protobuf code, from sdk/proto
	$(TOOL) buf generate

soak: ## the tests with full counts and their time limits, on a plain build
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestIncrements|TestKernelKilled|TestStorageKilled' \
		-args -increments 10000 -connections 64 -kernel-kills 10 -storage-kills 5 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestTail' -args -tail-entries 50000
	go test -count=1 -timeout 60m -v ./cmd/station -run 'TestFaults|TestKernelKilledInTrouble' -args -faults 50 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestTermUnderLoad|TestTermTwice' -args -terms 50 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestSlowConnections' -args -slow 500 -strict
	go test -count=1 -timeout 30m ./plugins/transport-http -run '^$$' -fuzz FuzzRequest -fuzztime 10m
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestBounds' -args $(BOUNDS)
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestLargeFile' -args -file-size 104857600 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestTenFiles|TestLargeArchive' -args -each-file 104857600 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestHostileStation|TestNearStation|TestStationMemory' -args -hostile 0 -strict
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestTokenCheckCost|TestBlogCost' -args -users 10000 -posts 10000 -strict
	go test -count=1 -timeout 30m -v ./framework/kernel -run 'TestRandomChanges' -args -live-rounds 400
	go test -count=1 -timeout 30m ./plugins/storage-tsv -run 'TestContract|TestConformance|TestStateProperty|TestHotKey' \
		-args -rapid.checks 100 -hot-key 1000000
	go test -count=1 -timeout 30m ./plugins/storage-tsv -run 'TestCrashEverywhere$$' -v \
		-args -crash-seeds 20 -crash-points 2000 | grep -v '^ *--- PASS\|^=== '
	go test -count=1 -timeout 30m ./plugins/storage-tsv -run 'TestEverySyncCounts$$' -v
	go test -count=1 -timeout 30m ./plugins/storage-tsv -run 'TestEveryByte$$|TestIndexDamage$$' -args -damage-stride 1
	go test -count=1 -timeout 30m ./sdk/storage/kv -run 'TestConformance' -args -rapid.checks 1000
	go -C sdk/examples test -count=1 -timeout 30m ./storage-bolt -run 'TestConformance' -args -rapid.checks 200
	go test -count=1 -timeout 30m ./framework/luahost -run 'TestBenign$$|TestHostileScripts$$' -args -benign 10000 -hostile 0
	go test -count=1 -timeout 30m ./framework/luahost -run 'TestPrograms$$' -v -args -programs 20000

# CASE=counter-64 measures one case of a station; FIGURES=BENCHMARKS.md writes what
# was measured into that file.
bench: ## a station under load, what a large object's commits cost, and what one call costs in the packages on its way
	go test -count=1 -timeout 3h -v ./cmd/station -run 'TestSpeed/$(CASE)' \
		-args -speed-time 10s -speed-warm 5s -speed-runs 5 $(if $(FIGURES),-speed-file $(abspath $(FIGURES)))
	go test -count=1 -timeout 30m -v ./cmd/station -run 'TestRates' -args $(BOUNDS) -pairs 10 -side 1500ms
	go test -run '^$$' -bench . -benchmem ./framework/luahost ./plugins/...
