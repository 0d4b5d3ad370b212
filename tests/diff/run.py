#!/usr/bin/env python3
"""Compares this server with recordings of the system whose contract it keeps.

Starts a fresh server with the settings of tests/server.json, lets record.py of the recordings drive it, compares with
their compare.py, and fails when a step differs that neither not-yet.txt nor deliberate.txt names. Without recordings it does nothing.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIFFERENT = re.compile(r"^(?:DIFFERENT|PROBLEM) (\S+ · .+)$")
LISTENS = re.compile(r"Listening on TCP (127\.0\.0\.1:\d+)")
TOTALS = re.compile(r"^(\d\d_\S+)\s+(\d+)\s+(\d+)\s+(\d+)$")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def ferretdb():
    """The address of an empty database on a FerretDB of its own."""
    binary = os.environ.get("UEAUTH_TEST_FERRETDB", ROOT / "target/tools/ferretdb")
    with tempfile.TemporaryDirectory(prefix="ueauth-diff-") as folder:
        options = [f"--sqlite-url=file:{folder}/", f"--state-dir={folder}", "--listen-addr=127.0.0.1:0", "--debug-addr=-"]
        process = subprocess.Popen(
            [binary, "--handler=sqlite", "--telemetry=disable", "--log-format=text", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        try:
            seen = []
            for line in process.stderr:
                seen.append(line)
                if found := LISTENS.search(line):
                    # it must not stop because nobody reads what it says
                    threading.Thread(target=collections.deque, args=(process.stderr, 0), daemon=True).start()
                    yield f"mongodb://{found[1]}/diff"
                    return
            sys.exit(f"FerretDB stopped before it listened:\n{''.join(seen[-20:])}")
        finally:
            process.kill()
            process.wait()


def start(binary, folder, log, store):
    description = json.loads((ROOT / "tests/server.json").read_text())
    port = free_port()
    store = store or f"sqlite:{folder}/ueauth.db"

    def fill(text):
        return text.replace("{port}", str(port)).replace("{store}", store)

    arguments = [fill(a) for a in description["args"] + description["store"]]
    environment = os.environ | {name: fill(value) for name, value in description["env"].items()}
    process = subprocess.Popen(
        [binary, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    return process, f"http://localhost:{port}"


def record(programs, binary, out, only, store):
    """Drives a fresh server through the scenarios. Answers whether it lived to the end."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "new").mkdir(parents=True)
    command = [sys.executable, str(programs / "record.py"), None, str(out / "new")]
    if only:
        command += ["--only", only]
    with tempfile.TemporaryDirectory(prefix="ueauth-diff-") as folder, open(out / "server.log", "wb") as log:
        server, command[2] = start(binary, folder, log, store)
        try:
            subprocess.run(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, check=False)
            return server.poll() is None
        finally:
            server.kill()
            server.wait()


def compare(programs, out):
    """The steps that differ with what compare.py says of them, and its totals by scenario."""
    command = [sys.executable, str(programs / "compare.py"), str(programs / "golden"), str(out / "new"), "--show", "100000"]
    run = subprocess.run(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False)
    (out / "compare.txt").write_text(run.stdout + run.stderr)
    different, totals, current = {}, {}, None
    for line in run.stdout.splitlines():
        found = DIFFERENT.match(line)
        if found:
            name = re.sub(r"  \[[A-Z]+ .*\]$", "", found[1])
            if line.startswith("PROBLEM"):
                name = name.split(": ")[0] if "scenario stopped" in name or "set-up failed" in name else name
            current = different.setdefault(name, [])
            current.append(line)
        elif line.startswith("      ") and current is not None:
            current.append(line)
        else:
            current = None
            row = TOTALS.match(line)
            if row:
                totals[row[1]] = [int(n) for n in row.groups()[1:]]
    if not totals:
        sys.exit(f"compare.py printed no totals:\n{run.stdout}{run.stderr}")
    return different, totals


def lines(name):
    text = (ROOT / "tests/diff" / name).read_text().splitlines()
    return [line.strip() for line in text if line.strip() and not line.startswith("#")]


def not_yet():
    return lines("not-yet.txt")


def deliberate():
    """Steps that differ for good; every line gives its reason."""
    out = {}
    for line in lines("deliberate.txt"):
        name, dash, reason = line.partition(" — ")
        if not dash or not reason:
            sys.exit(f"deliberate.txt: this line gives no reason: {line}")
        out[name] = reason
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--shared", default=ROOT.parent / "shared", type=pathlib.Path, help="where the recordings are")
    a.add_argument("--bin", default=os.environ.get("UEAUTH_BIN", ROOT / "target/debug/ueauth"), help="the server")
    a.add_argument("--store", help="an empty database, such as mongodb://localhost:27017/diff, or ferretdb for a new one; else a new file")
    a.add_argument("--only", help="comma-separated numbers of scenarios; 01 is always included")
    a.add_argument("--compare-only", action="store_true", help="do not record again")
    o = a.parse_args()
    programs = o.shared.resolve() / "golden"
    out = ROOT / "target/diff"
    if not programs.is_dir():
        print(f"diff: there are no recordings at {programs}; nothing to compare with")
        return 0
    with ferretdb() if o.store == "ferretdb" else contextlib.nullcontext(o.store) as store:
        alive = o.compare_only or record(programs, str(o.bin), out, o.only, store)
    different, totals = compare(programs, out)
    wanted = {"01", *o.only.split(",")} if o.only else None
    listed = not_yet()
    meant = {name for name in different if name in deliberate()}
    allowed = {name for name in different if name not in meant and (name in listed or f"{name.split(' · ')[0]} · *" in listed)}
    unexpected = [name for name in different if name not in allowed and name not in meant]
    if wanted:
        unexpected = [name for name in unexpected if name[:2] in wanted]
        totals = {name: row for name, row in totals.items() if name[:2] in wanted}

    for name in unexpected:
        print("\n".join(different[name]))
    print(f"\n{'scenario':24}{'equal':>8}{'allowed':>9}{'by design':>11}{'not yet':>9}{'different':>11}")
    sums = [0, 0, 0, 0, 0]
    for name, (equal, fine, _) in totals.items():
        row = [equal, fine] + [sum(step.startswith(f"{name} · ") for step in steps) for steps in (meant, allowed, unexpected)]
        sums = [x + y for x, y in zip(sums, row)]
        print(f"{name:24}{row[0]:8}{row[1]:9}{row[2]:11}{row[3]:9}{row[4]:11}")
    print(f"{'total':24}{sums[0]:8}{sums[1]:9}{sums[2]:11}{sums[3]:9}{sums[4]:11}")
    if not o.only:
        for line in listed:
            scenario, _, step = line.partition(" · ")
            if not (any(name.startswith(f"{scenario} · ") for name in different) if step == "*" else line in different):
                print(f"warning: not-yet.txt names what does not differ any more: {line}")
    if not alive:
        print(f"the server did not live to the end; see {out / 'server.log'}")
    return 1 if unexpected or not alive else 0


if __name__ == "__main__":
    sys.exit(main())
