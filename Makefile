# Each target is one thin call; CONTRIBUTING.md says what they do.
.PHONY: run test bench check diff contract conformance tools

run:
	cargo run --release --locked -- serve --development

test:
	tests/tools/test.sh

bench:
	tests/tools/setup.sh oracle
	cargo bench --locked --bench load -- $(BENCH)

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	tests/tools/deny.sh

diff:
	cargo build --locked
	python3 tests/diff/run.py
	python3 tests/diff/run.py --store ferretdb

contract:
	tests/tools/setup.sh contract node
	cargo build --locked
	target/tools/venv/bin/python tests/contract/compare.py
	target/tools/venv/bin/python tests/contract/answers.py
	node tests/clients/compiles.mjs ../shared/reference/openapi.yaml target/debug/ueauth

conformance:
	tests/tools/setup.sh contract node
	cargo build --locked
	node tests/clients/start.mjs --store $(or $(STORE),embedded) -- target/tools/venv/bin/python tests/contract/conformance.py $(if $(SEED),--seed $(SEED))

tools:
	tests/tools/setup.sh
