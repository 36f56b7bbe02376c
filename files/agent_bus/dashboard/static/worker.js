// Holds the one stream of all tabs: a browser has only six connections to one server, and every
// tab's share them. It lives as long as any tab does, whichever was first.

import { follow } from "./stream.js";

const ports = new Set();
const agents = new Map();
let link = "off";
let newest = null;
let at = 0;

function tellAll(type, value) {
  for (const port of ports) port.postMessage({ type, value });
}

function note(event) {
  if (event.full) agents.clear();
  for (const name of event.gone) agents.delete(name);
  for (const fact of event.agents) agents.set(fact.name, fact);
  newest = event;
  at = Date.now();
}

// What the hub would tell a tab that opens now.
function whole() {
  const now = new Date(Date.parse(newest.now) + Date.now() - at).toISOString();
  return { ...newest, now, full: true, gone: [], agents: [...agents.values()] };
}

const stream = follow((type, value) => {
  if (type === "link") link = value;
  if (type === "fleet") note(value);
  tellAll(type, value);
});

function leave(port) {
  ports.delete(port);
  if (!ports.size) {
    stream.stop();
    newest = null;
  }
}

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = () => leave(port);
  ports.add(port);
  port.postMessage({ type: "link", value: link });
  if (newest) port.postMessage({ type: "fleet", value: whole() });
  stream.start();
};
