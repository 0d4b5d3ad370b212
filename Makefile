# Each target is one thin call; CONTRIBUTING.md says what they do.
.PHONY: run test bench check diff tools

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

tools:
	tests/tools/setup.sh
