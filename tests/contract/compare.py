#!/usr/bin/env python3
"""Compares the server's own OpenAPI document with that of the contract.

Every operation of the contract must be in the document with the same id, parameters, body and successful statuses.
What differs must be named in differences.txt, with the reason; what is named there must differ.
Without a contract it does nothing.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "delete", "patch")


class Document:
    """An OpenAPI document of which only what clients are generated from is looked at."""

    def __init__(self, content):
        self.content = content
        self.operations = {
            f"{method.upper()} {path}": operation
            for path, item in content["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }

    def resolve(self, part):
        while "$ref" in part:
            target = self.content
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            part = target
        return part

    def shape(self, schema):
        """Type, members, required members and item of a schema, whatever it is put together from."""
        schema = self.resolve(schema)
        kind, members, required, item = schema.get("type"), {}, set(), schema.get("items")
        for part in schema.get("allOf", []):
            part = self.shape(part)
            kind, item = kind or part[0], item or part[3]
            members |= part[1]
            required |= part[2]
        choices = [self.shape(part) for part in schema.get("oneOf", []) + schema.get("anyOf", [])]
        if choices:
            kinds = {choice[0] for choice in choices}
            kind = kind or (kinds.pop() if len(kinds) == 1 else None)
            names = {name for choice in choices for name in choice[1]}
            members |= {name: {"oneOf": [c[1][name] for c in choices if name in c[1]]} for name in names}
            required |= set.intersection(*(choice[2] for choice in choices))
        members |= schema.get("properties", {})
        required |= set(schema.get("required", []))
        if kind is None:
            kind = "object" if members else "array" if item else None
        return kind, members, required, item

    def flat(self, schema, at="", required=True):
        """Every place of a schema: its type, and whether it must be there."""
        kind, members, needed, item = self.shape(schema)
        out = {at or "/": (kind or "any", required)}
        for name, member in members.items():
            out |= self.flat(member, f"{at}/{name}", name in needed)
        if kind == "array" and item is not None:
            out |= self.flat(item, f"{at}/[]")
        return out

    def parameters(self, operation):
        out = {}
        for parameter in map(self.resolve, operation.get("parameters", [])):
            kind = self.shape(parameter["schema"])[0]
            out[f"{parameter['in']} {parameter['name']}"] = (kind or "any", bool(parameter.get("required")))
        return out

    def bodies(self, operation):
        """Media types with whether a body is required, and what it holds."""
        body = self.resolve(operation.get("requestBody", {}))
        return {
            media: (bool(body.get("required")), self.flat(content["schema"]))
            for media, content in body.get("content", {}).items()
        }

    @staticmethod
    def successes(operation):
        return {str(status) for status in operation["responses"] if str(status)[0] in "23"}


def words(kind, required):
    return f"{kind}, {'required' if required else 'optional'}"


def members(what, theirs, ours):
    """Differences between two sets of typed things."""
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            yield f"{what} {name} is missing"
        elif name not in theirs:
            yield f"{what} {name} is not in the contract"
        elif theirs[name] != ours[name]:
            yield f"{what} {name} is {words(*ours[name])}; contract: {words(*theirs[name])}"


def operation(contract, document, key):
    """What differs in one operation."""
    if key not in document.operations:
        yield "is missing"
        return
    theirs, ours = contract.operations[key], document.operations[key]
    if theirs.get("operationId") != ours.get("operationId"):
        yield f"operationId is {ours.get('operationId')}; contract: {theirs.get('operationId')}"
    yield from members("parameter", contract.parameters(theirs), document.parameters(ours))
    old, new = contract.bodies(theirs), document.bodies(ours)
    for media in sorted(old.keys() | new.keys()):
        if media not in new:
            yield f"body {media} is missing"
        elif media not in old:
            yield f"body {media} is not in the contract"
        else:
            if old[media][0] != new[media][0]:
                yield f"body is {words(media, new[media][0])}; contract: {words(media, old[media][0])}"
            yield from members("body", old[media][1], new[media][1])
    old, new = contract.successes(theirs), document.successes(ours)
    for status in sorted(old - new):
        yield f"status {status} is missing"
    for status in sorted(new - old):
        yield f"status {status} is not in the contract"


def allowed(path):
    """Patterns with their reasons. `*` stands for any text, nothing else is special."""
    out = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        pattern, dash, reason = line.partition(" — ")
        if not dash or not reason.strip():
            sys.exit(f"{path.name}:{number}: this line gives no reason: {line}")
        pattern = re.sub(r"[\[?]", lambda found: f"[{found[0]}]", pattern.strip())
        if pattern in out:
            sys.exit(f"{path.name}:{number}: named twice: {line}")
        out[pattern] = line
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--contract", default=ROOT.parent / "shared/reference/openapi.yaml", type=pathlib.Path)
    a.add_argument("--bin", default=os.environ.get("UEAUTH_BIN", ROOT / "target/debug/ueauth"), help="the server")
    a.add_argument("--differences", default=ROOT / "tests/contract/differences.txt", type=pathlib.Path)
    a.add_argument("--all", action="store_true", help="print the differences that are allowed as well")
    o = a.parse_args()
    if not o.contract.is_file():
        print(f"contract: there is none at {o.contract}; nothing to compare with")
        return 0
    printed = subprocess.run([o.bin, "openapi"], check=True, capture_output=True, cwd=ROOT)
    document = Document(json.loads(printed.stdout))
    contract = Document(yaml.safe_load(o.contract.read_text()))
    listed = allowed(o.differences)
    used, unlisted, equal, meant, built = set(), [], 0, 0, 0
    for key in contract.operations:
        found = [f"{key} · {text}" for text in operation(contract, document, key)]
        built += key in document.operations
        equal += not found
        for line in found:
            matching = [pattern for pattern in listed if fnmatch.fnmatchcase(line, pattern)]
            used.update(matching)
            if matching:
                meant += 1
                if o.all:
                    print(f"allowed: {line}")
            else:
                unlisted.append(line)
    for line in unlisted:
        print(f"DIFFERENT {line}")
    stale = [line for pattern, line in listed.items() if pattern not in used]
    for line in stale:
        print(f"STALE {line}")
    total = len(contract.operations)
    print(f"contract: {built} of {total} operations; {equal} without a difference, {meant} differences allowed, "
          f"{len(unlisted)} not allowed, {len(stale)} listed that are none")
    return 1 if unlisted or stale else 0


if __name__ == "__main__":
    sys.exit(main())
