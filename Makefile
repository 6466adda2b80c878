# Every target sets up what it needs by itself; a second run starts at once. setup/README.md says what is downloaded.
CARGO ?= cargo
RUST_NEEDED := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults fuzz check deb test-deb bench bench-anomaly bench-scene bench-blur rust clean

help: ## Say what the targets do
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '%-18s %s\n' "$$target" "$$text"; done

demo: rust deps models media ## Show it: two cameras and a water level gauge in, incidents at a broker out (FOREVER=1, DEMO_SECONDS=60, KEEP=1)
	$(CARGO) build --release -p snowgate -p snowgate-tests --bins
	$(or $(CARGO_TARGET_DIR),target)/release/demo $(if $(FOREVER),--forever) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) $(if $(KEEP),--keep)

test: rust deps models media ## Everything that must hold: formatting, lints, and all tests, end to end ones too
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) build -p snowgate-preload
	$(CARGO) test --workspace
	systemd/check.sh
	configs/monitoring/check.sh

test-faults: rust deps models media ## Faults only, and many more of them: a table of what became of every incident (under 30 minutes; SNOWGATE_SEED=N repeats)
	$(CARGO) build -p snowgate -p snowgate-preload -p snowgate-tests --bins --lib
	$(or $(CARGO_TARGET_DIR),target)/debug/faults
	PROPTEST_CASES=1500 $(CARGO) test -p snowgate --lib -- store:: config:: camera::gop_ring
	PROPTEST_CASES=1500 $(CARGO) test -p snowgate --test config_loading
	$(CARGO) test -p snowgate-tests --test camera_faults --test uplink_faults --test uplink_delivery --test whole_daemon

fuzz: rust deps ## A million mutated inputs into every parser of a sensor's protocol, of commands, and into the store; what each may allocate (an hour)
	SNOWGATE_MUTATIONS=1000000 $(CARGO) test --release -p snowgate-core --lib -- --nocapture mutated
	SNOWGATE_MUTATIONS=1000000 $(CARGO) test --release -p snowgate-sensors --lib -- --nocapture mutated
	SNOWGATE_MUTATIONS=1000000 $(CARGO) test --release -p snowgate-sensors --test station_limits --test json_limits --test modbus_limits -- --nocapture
	SNOWGATE_MUTATIONS=1000000 $(CARGO) test --release -p snowgate --test command_limits -- --nocapture
	printf '1\n2\n' | SNOWGATE_MUTATIONS=500000 xargs -P 2 -I{} env SNOWGATE_SEED={} $(CARGO) test --release -p snowgate --test store_limits -- --nocapture

check: rust deps models media ## The quick part of it, for while you work: formatting, lints, unit tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test --workspace --lib

# The demo's build: one compilation serves both.
deb: rust deps models ## Make the Debian package: target/deb/snowgate_VERSION_ARCHITECTURE.deb
	$(CARGO) build --release -p snowgate -p snowgate-tests --bins
	$(PYTHON) -B packaging/deb.py --program $(or $(CARGO_TARGET_DIR),target)/release/snowgate --to $(or $(CARGO_TARGET_DIR),target)/deb

test-deb: rust deps models media ## Try the package on a fresh Debian 12: install, run, upgrade, remove, purge (as root; 5 minutes, the first time 7)
	$(CARGO) build --release -p snowgate -p snowgate-tests --bins
	$(PYTHON) -B packaging/test.py --programs $(or $(CARGO_TARGET_DIR),target)/release --work $(or $(CARGO_TARGET_DIR),target)/test-deb

BENCH_TO = $(or $(CARGO_TARGET_DIR),target)/bench
bench: rust deps models media scale-media ## Everything measured: micro-benchmarks, models, the whole daemon, NAB_DATA=DIR: anomalies (an hour; BENCH_QUICK=1: 15 minutes)
	$(CARGO) bench -p snowgate-benches $(if $(BENCH_QUICK),-- --quick)
	$(CARGO) build --release -p snowgate -p snowgate-benches --bins
	$(or $(CARGO_TARGET_DIR),target)/release/precision
	$(or $(CARGO_TARGET_DIR),target)/release/scene $(if $(BENCH_QUICK),--quick) --text $(BENCH_TO)/scene.txt --json $(BENCH_TO)/scene.json
	$(or $(CARGO_TARGET_DIR),target)/release/scale all $(if $(BENCH_QUICK),--quick) --text $(BENCH_TO)/scale.txt --json $(BENCH_TO)/scale.json
	$(if $(NAB_DATA),$(MAKE) bench-anomaly,@echo "make bench: the anomaly detectors were NOT measured: NAB_DATA=DIR says where the data folder of a clone of github.com/numenta/NAB is")

bench-anomaly: rust ## Score the anomaly detectors of sensors (NAB_DATA=DIR: the data folder of a clone of github.com/numenta/NAB; 2 minutes)
	$(if $(NAB_DATA),,$(error NAB_DATA=DIR is missing: the data folder of a clone of github.com/numenta/NAB, which is not part of this repository))
	mkdir -p $(BENCH_TO)
	$(CARGO) run --release -p snowgate-bench-anomaly --bin anomaly -- --data $(NAB_DATA) --text $(BENCH_TO)/anomaly.txt --json $(BENCH_TO)/anomaly.json

bench-scene: rust deps models media ## Measure what is found of what happens in a scene and to its camera, and what is told without cause (5 minutes; BENCH_QUICK=1: 1 minute)
	$(CARGO) build --release -p snowgate-benches --bin scene
	$(or $(CARGO_TARGET_DIR),target)/release/scene $(if $(BENCH_QUICK),--quick) --text $(BENCH_TO)/scene.txt --json $(BENCH_TO)/scene.json

bench-blur: rust deps models media blur-tools ## Look for faces in finished stills with other detectors, by size and treatment, beside deface (25 minutes; BENCH_QUICK=1: 8)
	$(CARGO) build --release -p snowgate-benches --bin stills
	assets/python-blur/bin/python -B benches/blur/measure.py --stills $(or $(CARGO_TARGET_DIR),target)/release/stills \
		$(if $(BENCH_QUICK),--quick) --text $(BENCH_TO)/blur.txt --json $(BENCH_TO)/blur.json

include packaging/arm64.mk setup.mk

clean: ## Delete what was built; downloads stay in the cache
	$(CARGO) clean

# Before anything is downloaded: the one thing that set-up does not install.
rust:
	@version=$$(rustc --version 2>/dev/null | cut -d' ' -f2 | cut -d- -f1); \
	if [ -z "$$version" ] || ! command -v $(CARGO) >/dev/null; then \
		echo "Snowgate needs Rust $(RUST_NEEDED) or newer, and there is no rustc or cargo here: https://rustup.rs" >&2; exit 1; \
	elif [ "$$(printf '%s\n' $(RUST_NEEDED) "$$version" | sort -V | head -n1)" != $(RUST_NEEDED) ]; then \
		echo "Snowgate needs Rust $(RUST_NEEDED) or newer, and this is $$version: rustup update" >&2; exit 1; \
	fi
