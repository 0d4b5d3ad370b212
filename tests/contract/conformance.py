#!/usr/bin/env python3
"""Lets Schemathesis call a running server by the document that the server itself gives out.

No answer may be a failure of the server, have a status or media type that the document does not name, or a body that
does not fit its schema. Everything is called by a person of the root group and by a plain member.
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
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# for each caller; on two cores a run takes less than half of it
SECONDS = 145
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


def settings(document, ids):
    """Which parameters of which operation should mostly name what there is."""
    lines = ["[dictionaries]"]
    lines += [f'{word} = {{ values = ["{value}"] }}' for word, value in ids.items()]
    lines += ["[warnings]", "enabled = false", "[checks.not_a_server_error]"]
    # an unknown group or host is a 501 by contract
    lines += ['expected-statuses = ["2xx", "3xx", "4xx", 501]']
    for path in document["paths"]:
        words = path.split("/")
        known = [
            (word[1:-1], before) for before, word in zip(words, words[1:]) if word.startswith("{") and before in ids
        ]
        if known:
            lines += ["[[operations]]", f'include-path = "{path}"', "[operations.parameters]"]
            lines += [f'"path.{name}" = {{ dictionary = "{word}", probability = 0.7 }}' for name, word in known]
    return "\n".join(lines) + "\n"


def run(tenant, caller, token, config, extra):
    """One round as `caller`; its exit code."""
    url = f"{tenant['issuer']}/swagger.json"
    command = [TOOL, "--config-file", config, "run", url, "--checks", CHECKS, "--header", f"Authorization:Bearer {token}"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--generation-deterministic"]
    command += ["--no-shrink", "--continue-on-failure", "--no-color", "--max-redirects", "0"]
    command += ["--request-timeout", "20"]
    for key in LEFT_OUT:
        method, path = key.replace("{group}", tenant["group"]).split(" ")
        command += ["--exclude-name", f"{method} {path}"]
    print(f"\n=== as {caller}", flush=True)
    try:
        return subprocess.run(command + extra, check=False, timeout=SECONDS, cwd=config.parent).returncode
    except subprocess.TimeoutExpired:
        print(f"conformance: as {caller} it took longer than {SECONDS} s")
        return 1


def main():
    began = time.monotonic()
    tenant = json.loads(os.environ["UEAUTH_TENANT"])
    document = call("GET", f"{tenant['issuer']}/swagger.json")
    ids = equip(tenant)
    callers = {"root": tenant["rootToken"], "member": tenant["userToken"]}
    failed = []
    with tempfile.TemporaryDirectory(prefix="ueauth-conformance-") as folder:
        config = pathlib.Path(folder, "schemathesis.toml")
        config.write_text(settings(document, ids))
        for caller, token in callers.items():
            if run(tenant, caller, token, config, sys.argv[1:]) != 0:
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
