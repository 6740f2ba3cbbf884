"""python_sink.py PORT-FILE: Python's smtpd (up to 3.11) with a server that accepts everything and keeps nothing."""

import asyncore
import smtpd
import sys


class Sink(smtpd.SMTPServer):
    def process_message(self, peer, mailfrom, rcpttos, data, **kwargs):
        pass

    def listen(self, num):
        # Python's own 5 drop what more clients send at once, and TCP repeats that after seconds.
        super().listen(1024)


server = Sink(("127.0.0.1", 0), None)
with open(sys.argv[1], "w") as file:
    print(server.socket.getsockname()[1], file=file)
asyncore.loop(use_poll=True)
