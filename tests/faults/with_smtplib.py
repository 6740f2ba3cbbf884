"""Sends a mail with smtplib and prints what came of it: verdict, what a program sees, text; tabs between."""

import smtplib
import sys

TIMEOUT = 2.0
MAIL = b"Subject: test\r\n\r\nOne.\r\nTwo.\r\nThree.\r\n"


def send(host, port):
    with smtplib.SMTP(host, int(port), timeout=TIMEOUT) as client:
        client.sendmail("sender@client.example", ["one@example.org"], MAIL)


def verdict(error):
    """The sort of an error and what it is, by its class and code only."""
    name = type(error).__name__
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        [(code, _)] = error.recipients.values()
    elif isinstance(error, smtplib.SMTPResponseException):
        code = error.smtp_code
    elif isinstance(error, TimeoutError):
        return "timeout", name
    elif isinstance(error, OSError):
        # SMTPServerDisconnected is one too.
        return "lost", name
    else:
        return "crash", name
    return {4: "temporary", 5: "permanent"}.get(code // 100, "bad reply"), f"{name} {code}"


try:
    send(*sys.argv[1:])
    said = ("sent", "", "")
except Exception as error:
    said = (*verdict(error), ascii(error)[:200])
print("\t".join(said))
