// Reads an AsyncAPI document from standard input; prints what AsyncAPI's own parser says of it.
// Exit code 1 when that is an error. The parser is looked for in the folder that is named.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "package.json"));
const { Parser } = require("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const told = diagnostics.map(({ code, message, path, severity }) => ({
  severity: ["error", "warning", "information", "hint"][severity],
  code,
  message,
  path: path.join("/"),
}));
const operations = document?.operations().all().map((it) => ({
  id: it.id(),
  action: it.action(),
  channels: it.channels().all().map((channel) => channel.address()),
  messages: it.messages().all().map((message) => message.name()),
}));
console.log(JSON.stringify({ version: document?.version() ?? null, operations, told }, null, 2));
process.exit(told.some(({ severity }) => severity === "error") ? 1 : 0);
