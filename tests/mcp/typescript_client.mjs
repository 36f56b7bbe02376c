// The official MCP clients in TypeScript, led step by step as python_client.py is: the same order, steps and lines.
// The step "ids" shows the ids of all requests so far.
// "library" in the order is what to import: @modelcontextprotocol/sdk (v1) or @modelcontextprotocol/client (v2).
import { createInterface } from "node:readline";

const order = JSON.parse(process.argv[2]);
const paths =
  order.library === "@modelcontextprotocol/sdk"
    ? ["/client/index.js", "/client/stdio.js", "/client/streamableHttp.js"]
    : ["", "/stdio", ""];
const [{ Client }, { StdioClientTransport }, { StreamableHTTPClientTransport }] = await Promise.all(
  paths.map((path) => import(order.library + path)),
);

const say = (facts) => process.stdout.write(JSON.stringify(facts) + "\n");
const anything = { "~standard": { version: 1, vendor: "any", validate: (value) => ({ value }) } };
const anyResult = paths[0] ? (await import(order.library + "/types.js")).ResultSchema : anything;

const { server } = order;
const transport = server.url
  ? new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: server.headers } })
  : new StdioClientTransport({ command: server.command[0], args: server.command.slice(1), env: server.env });
const ids = [];
const send = transport.send.bind(transport);
transport.send = (message, ...rest) => {
  if (message.id !== undefined) ids.push(message.id);
  return send(message, ...rest);
};
const client = new Client(
  { name: "tests", version: "1" },
  order.mode === "auto" ? { versionNegotiation: { mode: "auto" } } : {},
);
const words = (error) => ({ code: error.code ?? null, message: String(error.message) });
const running = new Map();

async function carriedOut(step) {
  const options = { timeout: order.timeout_s * 1000, signal: running.get(step.step).signal };
  if (step.do === "list") return client.listTools({}, options);
  if (step.do === "ids") return ids;
  if (step.do === "ask") return client.request({ method: step.method, params: step.params }, anyResult, options);
  const call = { name: step.tool, arguments: step.arguments };
  return paths[0] ? client.callTool(call, undefined, options) : client.callTool(call, options);
}

async function work(step) {
  running.set(step.step, new AbortController());
  try {
    say({ step: step.step, result: await carriedOut(step) });
  } catch (error) {
    const { aborted } = running.get(step.step).signal;
    say(aborted ? { step: step.step, cancelled: true } : { step: step.step, error: words(error) });
  }
}

try {
  await client.connect(transport, { timeout: order.timeout_s * 1000 });
} catch (error) {
  say({ failed: `${error.name}: ${error.message}` });
  process.exit(0);
}
say({ connected: true });
for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  if (step.do === "cancel") {
    running.get(step.of).abort("the test says so");
    say({ step: step.step, result: null });
  } else {
    work(step);
  }
}
await client.close();
say({ closed: true });
