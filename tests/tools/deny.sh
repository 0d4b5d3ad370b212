#!/usr/bin/env bash
# Licences, duplicate bans and sources of the dependencies, by deny.toml; advisories too where their database is there.
set -euo pipefail

cd "$(dirname "$0")/../.."
if ! command -v cargo-deny >/dev/null; then
    echo "check: cargo-deny is not installed, so licences and sources are not checked (cargo install cargo-deny)"
    exit 0
fi
checks=(licenses bans sources)
if compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-db*/*" >/dev/null; then
    checks+=(advisories)
else
    echo "check: there is no advisory database, so advisories are not checked (cargo deny fetch)"
fi
cargo deny --offline check "${checks[@]}"
