// Sends a mail with nodemailer and prints what came of it: verdict, what a program sees, text; tabs between.

import { createRequire } from "node:module";

const { createTransport } = createRequire(process.cwd() + "/target/clients/")("nodemailer");

const [host, port] = process.argv.slice(2);
const timeout = 2_000;
const envelope = { from: "sender@client.example", to: ["one@example.org"] };
const raw = "Subject: test\r\n\r\nOne.\r\nTwo.\r\nThree.\r\n";

// The sort of an error and what it is, by its codes only.
function verdict(error) {
    const words = [error.code ?? error.name, error.responseCode].filter(Boolean).join(" ");
    const sort = Math.trunc((error.responseCode ?? 0) / 100);
    if (sort === 4 || sort === 5) return [sort === 4 ? "temporary" : "permanent", words];
    if (sort !== 0) return ["bad reply", words];
    const sorts = { ETIMEDOUT: "timeout", ECONNECTION: "lost", ESOCKET: "lost", EPROTOCOL: "bad reply" };
    return [sorts[error.code] ?? (error.code ? "bad reply" : "crash"), words];
}

const client = createTransport({
    host, port, connectionTimeout: timeout, greetingTimeout: timeout, socketTimeout: timeout,
});
try {
    await client.sendMail({ envelope, raw });
    console.log("sent\t\t");
} catch (error) {
    console.log([...verdict(error), JSON.stringify(error.message).slice(0, 200)].join("\t"));
}
