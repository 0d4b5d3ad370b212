#!/usr/bin/env python3
"""Holds the answers that `make diff` recorded of this server against the server's own OpenAPI document.

Schemathesis mostly sees refusals; the recordings are full of successes. Every status must be in the document, and
every JSON body must fit its schema. Without recordings of this very server it says so and does nothing.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import jsonschema_rs

ROOT = pathlib.Path(__file__).resolve().parents[2]
# recorded in a form of their own
REWRITTEN = re.compile(r"/(swagger|cleanapi)\.json$")


def for_json_schema(part):
    """Schemas of OpenAPI 3.0 say `nullable` where JSON Schema lists the type `null`."""
    if isinstance(part, list):
        return [for_json_schema(x) for x in part]
    if not isinstance(part, dict):
        return part
    out = {name: for_json_schema(value) for name, value in part.items()}
    return {"anyOf": [out, {"type": "null"}]} if out.pop("nullable", None) is True else out


class Document:
    def __init__(self, content):
        self.content = content
        self.components = for_json_schema(content["components"])
        patterns = [
            (method.upper(), path, re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path.lower()))))
            for path, item in content["paths"].items()
            for method in item
        ]
        # literal words win over parameters, as in the server
        self.patterns = sorted(patterns, key=lambda p: p[1].count("{"))
        self.validators = {}

    def find(self, method, path):
        path = path.partition("?")[0].lower()
        path = path.rstrip("/") or "/"
        for wanted, key, pattern in self.patterns:
            if wanted == method and pattern.fullmatch(path):
                return key, self.content["paths"][key][wanted.lower()]
        return None, None

    def validator(self, key, status, media, schema):
        where = (key, status, media)
        if where not in self.validators:
            whole = {**for_json_schema(schema), "components": self.components}
            self.validators[where] = jsonschema_rs.Draft4Validator(whole, validate_formats=True)
        return self.validators[where]

    def faults(self, request, answer):
        key, operation = self.find(request["method"], request["path"])
        if not operation:
            return
        status, body = str(answer["status"]), answer.get("body")
        known = operation["responses"].get(status)
        if known is None:
            yield f"status {status} is not in the document: {json.dumps(body)[:200]}"
            return
        if "$ref" in known:
            known = self.content["components"]["responses"][known["$ref"].rsplit("/", 1)[1]]
        media = answer["headers"].get("content-type", "").partition(";")[0]
        content = known.get("content", {})
        if not media or not content:
            return
        if media not in content and "*/*" not in content:
            yield f"{status} is {media}; the document names {', '.join(content)}"
        elif media.endswith("json") and not REWRITTEN.search(request["path"]):
            check = self.validator((request["method"], key), status, media, content[media]["schema"])
            for error in check.iter_errors(body):
                yield f"{status} {'/'.join(map(str, error.instance_path))}: {error.message[:300]}"


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--recordings", default=ROOT / "target/diff/new", type=pathlib.Path)
    a.add_argument("--bin", default=os.environ.get("UEAUTH_BIN", ROOT / "target/debug/ueauth"), type=pathlib.Path)
    o = a.parse_args()
    files = sorted(o.recordings.glob("*.json"))
    if not files or files[0].stat().st_mtime < o.bin.stat().st_mtime:
        print("answers: there are no recordings of this build; `make diff` makes them")
        return 0
    printed = subprocess.run([o.bin, "openapi"], check=True, capture_output=True, cwd=ROOT)
    document = Document(json.loads(printed.stdout))
    seen, operations, faults = 0, set(), []
    for file in files:
        for step in json.loads(file.read_text())["steps"]:
            request, answer = step.get("request"), step.get("response")
            # HEAD is no operation of the document, and has no body to look at
            if not request or request["method"] == "HEAD" or not isinstance(answer, dict) or "status" not in answer:
                continue
            key, _ = document.find(request["method"], request["path"])
            if key is None:
                continue
            seen += 1
            if 200 <= answer["status"] < 400:
                operations.add((request["method"], key))
            for fault in document.faults(request, answer):
                faults.append(f"{file.stem} · {step['step']} · {request['method']} {key}: {fault}")
    for fault in faults:
        print(f"WRONG {fault}")
    print(f"answers: {seen} held against the document, successes of {len(operations)} operations; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
