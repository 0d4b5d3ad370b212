"""Loaded by Schemathesis: puts the started server's own ids into requests just before they are sent.

The cases themselves only know made-up ids, which are the same in every run. What was asked and answered is digested, so
that two runs can be compared.
"""

import atexit
import collections
import hashlib
import json
import os
import pathlib

import schemathesis
from requests.auth import AuthBase

IDS = json.loads(os.environ["UEAUTH_CONFORMANCE_IDS"])
ASKED = hashlib.sha256()
ANSWERED = hashlib.sha256()
STATUSES = collections.Counter()


class Rename(AuthBase):
    """Not to authenticate: `requests` lets this look at the finished request last."""

    def __call__(self, request):
        base, _, path = request.url.partition("//")[2].partition("/")
        ASKED.update(f"{request.method} /{path}\n".encode())
        body = request.body
        if isinstance(body, str):
            body = body.encode()
        # a body of several parts has a boundary by chance
        if isinstance(body, bytes) and "multipart" not in request.headers.get("content-type", ""):
            ASKED.update(body)
        for made_up, real in IDS.items():
            path = path.replace(made_up, real)
            if isinstance(body, bytes):
                body = body.replace(made_up.encode(), real.encode())
        request.url = f"http://{base}/{path}"
        if body is not None:
            request.prepare_body(body, None)
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["auth"] = Rename()


@schemathesis.hook
def after_call(context, case, response):
    ANSWERED.update(f"{case.method} {case.operation.path} {response.status_code}\n".encode())
    STATUSES[f"{response.status_code // 100}xx"] += 1


@atexit.register
def note():
    digests = f"asked {ASKED.hexdigest()[:16]}, answered {ANSWERED.hexdigest()[:16]}"
    answers = ", ".join(f"{count} {status}" for status, count in sorted(STATUSES.items()))
    pathlib.Path(os.environ["UEAUTH_CONFORMANCE_NOTE"]).write_text(f"{digests}; answers: {answers}")
