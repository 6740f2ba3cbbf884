"""keep.py FOLDER PORT: aiosmtpd, which keeps each mail in files of FOLDER, as keep.sh does."""

import asyncio
import os
import sys

from aiosmtpd.smtp import SMTP

folder, port = sys.argv[1], int(sys.argv[2])


class Keep:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = os.path.join(folder, str(self.count))
        with open(name + ".text", "wb") as file:
            file.write(envelope.original_content)
        with open(name, "w") as file:
            file.writelines(address + "\n" for address in [envelope.mail_from, *envelope.rcpt_tos])
        os.rename(name, name + ".envelope")
        return "250 OK"


# The most octets of a line, with CRLF; what it reads by is made from it.
SMTP.line_length_limit = 16384


async def main():
    keep = Keep()
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(keep, hostname="mx.example.org", data_size_limit=20 << 20, loop=loop)
    server = await loop.create_server(make, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
