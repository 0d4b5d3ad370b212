#!/usr/bin/env bash
# Installs what the tests need and says so. Usage: setup.sh [TOOL]...
# Tools: ferretdb nats chromium smtp node python contract (all of these without an argument), and oracle for the benchmarks.
# Everything goes to target/tools, except the browser, which comes from the system's packages.
# Exit code 1 when something could not be made ready; the reason is the last line printed for it.
set -uo pipefail

cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
ferretdb_version=v1.24.2
mkdir -p "$tools"

say() { printf 'tools: %s\n' "$*"; }
missing() { say "$1 is not ready: $2"; return 1; }

# FerretDB speaks MongoDB's wire protocol over SQLite. Its module lacks the generated version file without which the
# program stops at start, so it is built from a vendored copy that gets one.
ferretdb() {
    local bin=$tools/ferretdb src=$tools/ferretdb-src
    if [ -x "$bin" ] && "$bin" --version 2>/dev/null | grep -q "version: $ferretdb_version"; then
        say "FerretDB $ferretdb_version is there"
        return
    fi
    command -v go >/dev/null || { missing FerretDB "Go is not installed"; return; }
    say "building FerretDB $ferretdb_version into $bin"
    rm -rf "$src" && mkdir -p "$src" && cp tests/tools/ferretdb/go.mod tests/tools/ferretdb/go.sum "$src"
    (
        set -e
        cd "$src"
        go mod vendor
        printf '%s\n' "$ferretdb_version" >vendor/github.com/FerretDB/FerretDB/build/version/version.txt
        go build -mod=vendor -trimpath -o "$bin" github.com/FerretDB/FerretDB/cmd/ferretdb
        "$bin" --version | grep -q "version: $ferretdb_version"
    ) || missing FerretDB "its build failed (see above)"
}

nats() {
    local bin=$tools/nats-server
    if [ -x "$bin" ]; then
        say "the NATS server is there"
        return
    fi
    if command -v nats-server >/dev/null; then
        ln -sf "$(command -v nats-server)" "$bin" && say "the NATS server is there"
        return
    fi
    command -v apt-get >/dev/null || { missing "the NATS server" "install nats-server by hand: there is no apt-get"; return; }
    say "taking the NATS server from the package nats-server"
    # unpacked only, so that no service is started
    local work
    work=$(mktemp -d) && (
        set -e
        cd "$work"
        apt-get download -qq nats-server || { apt-get update -qq && apt-get download -qq nats-server; }
        dpkg-deb -x nats-server_*.deb .
        cp usr/sbin/nats-server "$bin"
    ) >"$tools/nats.log" 2>&1 || missing "the NATS server" "its package could not be taken (see $tools/nats.log)"
    rm -rf "$work"
}

chromium() {
    if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
        say "Chromium and its driver are there"
        return
    fi
    command -v apt-get >/dev/null || { missing Chromium "install chromium and chromedriver by hand: there is no apt-get"; return; }
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { missing Chromium "installing packages needs root"; return; }
        root=(sudo)
    fi
    say "installing the packages chromium and chromium-driver"
    "${root[@]}" apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends chromium chromium-driver >"$tools/apt.log" 2>&1 ||
        missing Chromium "apt-get failed (see $tools/apt.log)"
}

node() { npm_packages tests/clients "the npm clients"; }
oracle() { npm_packages benches/oracle "the provider to compare with"; }

npm_packages() { # FOLDER NAME
    local lock=$1/package-lock.json stamp=$1/node_modules/.installed
    command -v npm >/dev/null || { missing "$2" "Node.js with npm is not installed"; return; }
    if cmp -s "$lock" "$stamp"; then
        say "$2: there"
        return
    fi
    say "$2: installing into $1/node_modules"
    npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts && cp "$lock" "$stamp" ||
        missing "$2" "npm ci failed (see above)"
}

python() { pip_packages venv tests/clients/python "the Python client"; }
contract() { pip_packages venv tests/contract "the programs that look at the API's document"; }
smtp() { pip_packages smtp-venv tests/tools/smtp "the mail server"; }

# Folders whose packages go to one place need versions that go together.
pip_packages() { # PLACE FOLDER NAME
    local venv=$tools/$1 wanted=$2/requirements.txt stamp=$tools/$1/.installed-${2//\//-}
    command -v python3 >/dev/null || { missing "$3" "Python 3 is not installed"; return; }
    if cmp -s "$wanted" "$stamp"; then
        say "$3: there"
        return
    fi
    say "$3: installing into $venv"
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted" && cp "$wanted" "$stamp" ||
        missing "$3" "its installation failed (see above)"
}

[ $# -gt 0 ] || set -- ferretdb nats chromium smtp node python contract
status=0
for tool in "$@"; do
    case $tool in
    ferretdb | nats | chromium | smtp | node | python | contract | oracle) "$tool" || status=1 ;;
    *) say "unknown tool: $tool" && status=2 ;;
    esac
done
exit $status
