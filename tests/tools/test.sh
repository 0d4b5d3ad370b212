#!/usr/bin/env bash
# Sets up what is missing and runs every suite; prints the runners' own summaries and one line of totals at the end.
# A suite that can not run is named and counts as skipped; with CI=true that is a failure.
set -uo pipefail

cd "$(dirname "$0")/../.."
logs=$PWD/target/test-logs
rm -rf "$logs" && mkdir -p "$logs"
export UEAUTH_SKIP_LOG=$logs/skipped.txt
export UEAUTH_TEST_FERRETDB=${UEAUTH_TEST_FERRETDB:-$PWD/target/tools/ferretdb}
: >"$UEAUTH_SKIP_LOG"
failed=()

ready() { # NAME TOOL...: makes tools ready, or notes the suite as skipped
    local name=$1
    shift
    tests/tools/setup.sh "$@" && return
    echo "skipped: $name: its tools are missing (see above)"
    echo "$name: its tools are missing" >>"$UEAUTH_SKIP_LOG"
    return 1
}

suite() { # NAME COMMAND...: runs one suite and keeps its output
    local name=$1
    shift
    printf '\n=== %s\n' "$name"
    "$@" 2>&1 | tee "$logs/$name.log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

# the Rust suites skip single tests by themselves where a tool is missing
tests/tools/setup.sh ferretdb nats chromium smtp || true
suite rust cargo test --workspace --locked --no-fail-fast

if cargo build --locked; then
    stores=(embedded)
    if [ -n "${UEAUTH_TEST_MONGODB_URI:-}" ] || [ -x "$UEAUTH_TEST_FERRETDB" ]; then
        stores+=(mongodb)
    else
        echo "clients on MongoDB's wire protocol: FerretDB is missing" | tee -a "$UEAUTH_SKIP_LOG"
    fi
    start=tests/clients/start.mjs
    if ready "npm clients" node; then
        for store in "${stores[@]}"; do
            suite "npm-$store" node $start --store "$store" -- node --test --test-reporter=spec tests/clients/*.test.mjs
        done
        if ready "Python client" python; then
            for store in "${stores[@]}"; do
                suite "python-$store" node $start --store "$store" -- target/tools/venv/bin/pytest -p no:cacheprovider tests/clients/python
            done
        fi
        if ready "conformance to the document" contract; then
            for store in "${stores[@]}"; do
                suite "conformance-$store" node $start --store "$store" -- target/tools/venv/bin/python tests/contract/conformance.py
            done
        fi
    else
        for name in "Python client" "conformance to the document"; do
            echo "$name: it is started with Node.js" | tee -a "$UEAUTH_SKIP_LOG"
        done
    fi
else
    failed+=(build)
fi

skipped=$(wc -l <"$UEAUTH_SKIP_LOG")
{
    for log in "$logs"/*.log; do
        printf '\n=== %s\n' "$(basename "$log" .log)"
        grep -E '^test result: |^ℹ (tests|pass|fail|skipped) |^=+ .*(passed|failed|error).* in .*=+$' "$log" || echo "no summary: it did not run to its end"
    done
    if [ "$skipped" -gt 0 ]; then
        printf '\nskipped:\n' && sed 's/^/  /' "$UEAUTH_SKIP_LOG"
    fi
    [ ${#failed[@]} -eq 0 ] || printf '\nfailed suites: %s\n' "${failed[*]}"
    # adds up the last number of every match
    sum() { cat "$logs"/*.log | grep -oE "$1" | sed -E 's/.*[^0-9]([0-9]+)[^0-9]*$/\1/' | awk '{total += $1} END {print total + 0}'; }
    passed=$(($(sum '^test result: .* [0-9]+ passed') + $(sum '^ℹ pass [0-9]+') + $(sum '^=+ .*[0-9]+ passed')))
    broken=$(($(sum '; [0-9]+ failed; ') + $(sum '^ℹ fail [0-9]+') + $(sum '^=+ [0-9]+ failed')))
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$broken" "$skipped"
} | tee "$logs/summary.txt"

[ ${#failed[@]} -eq 0 ] || exit 1
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
    echo "CI must not skip anything"
    exit 1
fi
