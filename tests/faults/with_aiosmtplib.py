"""Sends a mail with aiosmtplib and prints what came of it: verdict, what a program sees, text; tabs between."""

import asyncio
import sys

import aiosmtplib

TIMEOUT = 2.0
MAIL = b"Subject: test\r\n\r\nOne.\r\nTwo.\r\nThree.\r\n"


async def send(host, port):
    async with aiosmtplib.SMTP(hostname=host, port=int(port), timeout=TIMEOUT) as client:
        await client.sendmail("sender@client.example", ["one@example.org"], MAIL)


def verdict(error):
    """The sort of an error and what it is, by its class and code only."""
    name = type(error).__name__
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        code = error.recipients[0].code
    elif isinstance(error, aiosmtplib.SMTPResponseException):
        code = error.code
    elif isinstance(error, aiosmtplib.SMTPTimeoutError):
        return "timeout", name
    elif isinstance(error, (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPConnectError)):
        return "lost", name
    else:
        return "crash", name
    return {4: "temporary", 5: "permanent"}.get(code // 100, "bad reply"), f"{name} {code}"


try:
    asyncio.run(send(*sys.argv[1:]))
    said = ("sent", "", "")
except Exception as error:
    said = (*verdict(error), ascii(error)[:200])
print("\t".join(said))
