"""A mail server for the tests: prints its port, then every message it takes as one line of JSON.

Usage: server.py PORT [CERTIFICATE KEY]; port 0 is a free one, a certificate makes it offer STARTTLS.
Addresses decide what becomes of a message: `refused@` is refused for good until a line arrives on the
standard input, `later@` is put off once. It ends with its standard input.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP

strict = True
put_off = set()


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@") and strict:
            return "550 nobody here by that name"
        if address.startswith("later@") and address not in put_off:
            put_off.add(address)
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: (message.get_body((kind,)) or message).get_content()
        seen = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": part("plain"),
            "html": part("html"),
        }
        print(json.dumps(seen), flush=True)
        return "250 OK"


async def main():
    global strict
    tls = None
    if len(sys.argv) > 3:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Mailbox(), tls_context=tls, loop=loop), "127.0.0.1", int(sys.argv[1]))
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        strict = False


asyncio.run(main())
