#!/usr/bin/env python3
"""Lets Schemathesis call a running server by the document that the server itself gives out.

No answer may be a failure of the server, have a status or media type that the document does not name, or a body that
does not fit its schema. Everything is called by a person of the root group and by a plain member.
What is tried depends on the seed and the document only: the cases are made with the ids of `made_up`, for which wire.py
sends those of the server. Arguments go to Schemathesis, such as `--seed 2` for other cases.
Run it through tests/clients/start.mjs, which starts the server and prepares a tenant.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TOOL = pathlib.Path(sys.executable).with_name("st")
WIRE = pathlib.Path(__file__).with_name("wire.py")
SEED = "1"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# for each caller, and only to end what hangs: on two cores it takes a minute
SECONDS = 600
# Ends with the server, or with the signing in that everything else needs.
LEFT_OUT = {
    "DELETE /api/{group}/account/{id}": "the callers would delete themselves",
    "PUT /api/{group}/account/panic": "the callers would lock themselves out",
}


def call(method, url, body=None, token=None):
    request = urllib.request.Request(url, method=method)
    if token:
        request.add_header("authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def is_known(tenant, token):
    try:
        call("GET", f"{tenant['url']}/api/{tenant['group']}/account/me", token=token)
    except urllib.error.HTTPError as e:
        return e.code != 401
    return True


def equip(tenant):
    """One of everything, so that calls find something. Ids by the word before them in a path."""
    api, token = f"{tenant['url']}/api/{tenant['group']}", tenant["ownerToken"]

    def make(method, path, body):
        return call(method, api + path, body, token)["data"]

    organization = make("POST", "/organizations", {"name": "Acme", "description": "x", "contactEmail": "a@acme.test"})
    organization = organization["organization"]["id"]
    product = make("POST", "/products", {"name": "Till"})["id"]
    role = make("POST", f"/products/{product}/roles", {"name": "cashier"})["id"]
    permission = make("POST", f"/products/{product}/permission", {"target": "till", "action": "open"})["id"]
    domain = make("POST", f"/organizations/{organization}/domains", {"name": "north"})["id"]
    add = {"op": "add", "value": product}
    make("PATCH", f"/organizations/{organization}", [add | {"path": "/associatedProducts/-"}])
    make("PATCH", f"/organizations/{organization}/domains/{domain}", [add | {"path": "/associatedOrgProducts/-"}])
    make("PUT", f"/organizations/{organization}/products/{product}/roles", {"name": "own"})
    make("PUT", f"/access/organization/{organization}/account/{tenant['user']['id']}", {"domains": [domain], "roles": [role]})
    call("POST", f"{api}/profile", {"accountId": tenant["user"]["id"], "givenName": "Uma"}, tenant["userToken"])
    service = make("POST", f"/access/product/{product}/key/service", {"name": "robot", "roles": [role]})["clientId"]
    key = make("POST", f"/access/product/{product}/key", {"name": "night", "clientId": service})["id"]
    initial = call("POST", f"{tenant['issuer']}/token/initial-access", {}, token)["jti"]
    client = {
        "client_name": "app",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "redirect_uris": ["https://app.test/cb"],
    }
    client = call("POST", f"{tenant['issuer']}/reg", client, initial)["client_id"]
    return {
        "group": tenant["group"],
        "organizations": organization,
        "organization": organization,
        "products": product,
        "product": product,
        "roles": role,
        "permissions": permission,
        "domains": domain,
        "domain": domain,
        "account": tenant["user"]["id"],
        "user": tenant["user"]["id"],
        "request": tenant["user"]["id"],
        "service": service,
        "key": key,
        "client": client,
        "reg": client,
    }


def made_up(ids):
    """For each id one that is always the same."""
    # as long as those of the server, so that limits mean the same for both
    return {word: f"made-up-{word}".ljust(len(value), "0") for word, value in ids.items()}


def settings(document, ids):
    """Which parameters of which operation should mostly name what there is."""
    lines = [f'hooks = "{WIRE}"', "[dictionaries]"]
    lines += [f'{word} = {{ values = ["{value}"] }}' for word, value in ids.items()]
    lines += ["[warnings]", "enabled = false", "[checks.not_a_server_error]"]
    # an unknown group or host is a 501 by contract
    lines += ['expected-statuses = ["2xx", "3xx", "4xx", 501]']
    # what the server answers has new ids and times in every run, and must not lead to other cases
    for phase in ("examples", "coverage", "fuzzing"):
        lines += [f"[phases.{phase}]", "extra-data-sources = { responses = false }"]
    lines += ["error-feedback = { enabled = false }"]
    for path in document["paths"]:
        words = path.split("/")
        known = [
            (word[1:-1], before) for before, word in zip(words, words[1:]) if word.startswith("{") and before in ids
        ]
        if known:
            lines += ["[[operations]]", f'include-path = "{path}"', "[operations.parameters]"]
            lines += [f'"path.{name}" = {{ dictionary = "{word}", probability = 0.7 }}' for name, word in known]
    return "\n".join(lines) + "\n"


def run(tenant, caller, token, folder, group, ids, extra):
    """One round as `caller`; its exit code."""
    note = folder / f"{caller}.txt"
    command = [TOOL, "--config-file", folder / "schemathesis.toml", "run", folder / "document.json"]
    command += ["--url", tenant["url"], "--checks", CHECKS, "--header", f"Authorization:Bearer {token}"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", SEED]
    command += ["--generation-database", "none", "--no-shrink", "--continue-on-failure", "--no-color"]
    command += ["--max-redirects", "0", "--request-timeout", "20"]
    for key in LEFT_OUT:
        method, path = key.replace("{group}", group).split(" ")
        command += ["--exclude-name", f"{method} {path}"]
    # sets of words are walked in the order of their hashes
    environment = os.environ | {"PYTHONHASHSEED": "0", "UEAUTH_CONFORMANCE_IDS": json.dumps(ids)}
    environment |= {"UEAUTH_CONFORMANCE_NOTE": str(note)}
    print(f"\n=== as {caller}", flush=True)
    try:
        code = subprocess.run(command + extra, check=False, timeout=SECONDS, cwd=folder, env=environment).returncode
        print(f"conformance: as {caller}: {note.read_text()}")
        return code
    except subprocess.TimeoutExpired:
        print(f"conformance: as {caller} it took longer than {SECONDS} s")
        return 1


def main():
    began = time.monotonic()
    tenant = json.loads(os.environ["UEAUTH_TENANT"])
    ids = equip(tenant)
    fixed = made_up(ids)
    document = urllib.request.urlopen(f"{tenant['issuer']}/swagger.json", timeout=30).read().decode()
    document = document.replace(tenant["group"], fixed["group"]).replace(tenant["url"], "http://localhost")
    callers = {"root": tenant["rootToken"], "member": tenant["userToken"]}
    failed = []
    with tempfile.TemporaryDirectory(prefix="ueauth-conformance-") as folder:
        folder = pathlib.Path(folder)
        (folder / "document.json").write_text(document)
        document = json.loads(document)
        (folder / "schemathesis.toml").write_text(settings(document, fixed))
        names = {fixed[word]: value for word, value in ids.items()}
        for caller, token in callers.items():
            if run(tenant, caller, token, folder, fixed["group"], names, sys.argv[1:]) != 0:
                failed.append(caller)
            # who is not known any more has tested nothing but the refusal
            if not is_known(tenant, token):
                print(f"conformance: the token of {caller} is not good any more")
                failed.append(caller)
    count = sum(len(methods) for methods in document["paths"].values())
    print(f"\nconformance: {count} operations as {' and '.join(callers)}, {len(LEFT_OUT)} of them left out")
    parts = [f"{len(set(failed))} failed"] * bool(failed) + [f"{len(callers) - len(set(failed))} passed"]
    print(f"=== {', '.join(parts)} in {time.monotonic() - began:.0f}s ===")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
