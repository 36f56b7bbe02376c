// Who talks to whom: a ring of agents (or hosts), a curve for each pair, wider for more messages.

import { live } from "./app.js";
import { svg } from "./svg.js";
import { timeOf } from "./times.js";

const SIZE = 720;
// On a phone the names are larger (style.css), so the ring leaves them more room.
const RING = SIZE * (matchMedia("(max-width: 44rem)").matches ? 0.26 : 0.36);
const MOST_AGENTS = 60;
const FEED = 100;
const picture = JSON.parse(document.getElementById("picture").textContent);
const graph = document.getElementById("graph");
const grain = document.getElementById("grain");
const feed = document.getElementById("feed");
const counts = new Map();
const agents = { ...picture.agents };
const edges = new Map();
let drawing = 0;

for (const [from, to, count] of picture.flows) counts.set(`${from} ${to}`, count);
if (Object.keys(agents).length > MOST_AGENTS) grain.value = "node";

const placeOf = (agent) => (grain.value === "node" ? (agents[agent] ?? agent) : agent);

function grouped() {
  const found = new Map();
  for (const [key, count] of counts) {
    const [from, to] = key.split(" ").map(placeOf);
    const pair = `${from} ${to}`;
    found.set(pair, (found.get(pair) ?? 0) + count);
  }
  return found;
}

function point(number, of, radius) {
  const angle = (2 * Math.PI * number) / of - Math.PI / 2;
  return [SIZE / 2 + radius * Math.cos(angle), SIZE / 2 + radius * Math.sin(angle), angle];
}

function curve(from, to, isSelf) {
  const [x1, y1] = from;
  const [x2, y2] = to;
  if (isSelf) return `M${x1} ${y1}c-26 -26 26 -26 0 0`;
  // Off the middle, so that both directions of a pair can be told apart.
  const mx = SIZE / 2 + (x1 + x2 - SIZE) * 0.18 + (y2 - y1) * 0.12;
  const my = SIZE / 2 + (y1 + y2 - SIZE) * 0.18 - (x2 - x1) * 0.12;
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}Q${mx.toFixed(1)} ${my.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`;
}

function focusOn(name) {
  for (const edge of edges.values()) edge.classList.toggle("faded", name !== null && !edge.dataset.ends.split(" ").includes(name));
}

function draw() {
  drawing = 0;
  const pairs = grouped();
  const names = [...new Set([...pairs.keys()].flatMap((pair) => pair.split(" ")))];
  names.sort((a, b) => (agents[a] ?? "").localeCompare(agents[b] ?? "") || a.localeCompare(b));
  const places = new Map(names.map((name, number) => [name, point(number, names.length, RING)]));
  const most = Math.max(1, ...pairs.values());
  edges.clear();
  const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 12, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { class: "tip", d: "M0 0L8 4L0 8z" }));
  const curves = svg("g", {}, svg("defs", {}, tip));
  for (const [pair, count] of [...pairs].sort((a, b) => a[1] - b[1])) {
    const [from, to] = pair.split(" ");
    const width = 1 + 9 * Math.sqrt(count / most);
    const edge = svg("path", { class: "edge", d: curve(places.get(from), places.get(to), from === to), "stroke-width": width.toFixed(1), "marker-end": "url(#tip)" });
    edge.dataset.ends = pair;
    edge.append(svg("title", {}, `${from} to ${to}: ${count}`));
    edges.set(pair, edge);
    curves.append(edge);
  }
  const dots = svg("g");
  names.forEach((name, number) => {
    const [x, y, angle] = places.get(name);
    const [tx, ty] = point(number, names.length, RING + 14);
    const isLeft = Math.cos(angle) < -0.01;
    const turn = (angle * 180) / Math.PI + (isLeft ? 180 : 0);
    const label = svg("text", { x: tx, y: ty, "text-anchor": isLeft ? "end" : "start", "dominant-baseline": "middle", transform: `rotate(${turn.toFixed(1)} ${tx.toFixed(1)} ${ty.toFixed(1)})` }, name);
    const node = svg("g", { class: "node", tabindex: 0, role: "img", "aria-label": name }, svg("circle", { class: "dot", cx: x, cy: y, r: 7 }), label);
    for (const event of ["mouseenter", "focus"]) node.addEventListener(event, () => focusOn(name));
    for (const event of ["mouseleave", "blur"]) node.addEventListener(event, () => focusOn(null));
    dots.append(node);
  });
  const words = names.length ? `${names.length} drawn, ${pairs.size} pairs` : "No message in this window";
  const root = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group", "aria-label": `Who talks to whom: ${words}` }, curves, dots);
  if (!names.length) root.append(svg("text", { x: SIZE / 2, y: SIZE / 2, "text-anchor": "middle" }, words));
  const focused = graph.querySelector(".node:focus")?.getAttribute("aria-label");
  graph.replaceChildren(root);
  if (focused) [...dots.children].find((node) => node.getAttribute("aria-label") === focused)?.focus({ preventScroll: true });
  list(pairs);
}

function list(pairs) {
  const top = [...pairs].sort((a, b) => b[1] - a[1]).slice(0, 50);
  document.getElementById("pairs").replaceChildren(...top.map(([pair, count]) => {
    const row = document.createElement("tr");
    for (const words of [...pair.split(" "), String(count)]) row.insertCell().textContent = words;
    row.lastElementChild.className = "num";
    return row;
  }));
}

function line(message) {
  const row = document.createElement("tr");
  row.className = "fresh";
  row.dataset.id = message.id;
  const cell = (label, ...content) => {
    const made = row.insertCell();
    made.dataset.label = label;
    made.append(...content);
    return made;
  };
  const more = message.to.length > 3 ? ` and ${message.to.length - 3} more` : "";
  cell("when", timeOf(message.created_at));
  cell("from", message.from_agent);
  cell("to", message.to.slice(0, 3).join(", ") + more);
  const priority = document.createElement("span");
  priority.className = "state";
  priority.dataset.state = priority.textContent = message.priority;
  cell("priority", priority);
  const link = document.createElement("a");
  link.href = `/messages/${encodeURIComponent(message.id)}`;
  link.textContent = message.subject ?? message.opening;
  const head = document.createElement("th");
  head.scope = "row";
  head.append(link);
  row.append(head);
  const thread = document.createElement(message.thread_id === message.id ? "span" : "a");
  thread.className = message.thread_id === message.id ? "none" : "mono";
  thread.textContent = message.thread_id === message.id ? "new" : message.thread_id.slice(-6).toLowerCase();
  if (thread.localName === "a") thread.href = `/messages/${encodeURIComponent(message.thread_id)}`;
  cell("thread", thread);
  const state = document.createElement("span");
  state.dataset.f = "read";
  cell("state", state);
  showRead(state, 0, message.to.length);
  return row;
}

function showRead(state, read, all) {
  state.dataset.read = read;
  state.dataset.all = all;
  state.textContent = read === 0 ? "unread" : read < all ? `${read} of ${all} read` : "read";
}

live({
  fleet: (event) => {
    for (const fact of event.agents) agents[fact.name] = fact.node;
  },
  feed: (event) => {
    for (const message of event.messages) {
      if (feed.querySelector(`[data-id="${CSS.escape(message.id)}"]`)) continue;
      feed.prepend(line(message));
      for (const to of message.to) {
        const key = `${message.from_agent} ${to}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    while (feed.rows.length > FEED) feed.lastElementChild.remove();
    for (const one of event.read) {
      const state = feed.querySelector(`[data-id="${CSS.escape(one.id)}"] [data-f=read]`);
      if (!state) continue;
      const [read, all] = [Number(state.dataset.read), Number(state.dataset.all)];
      showRead(state, Math.min(all, read + 1), all);
    }
    if (event.messages.length && !drawing) drawing = setTimeout(draw, 1000);
  },
});
grain.addEventListener("change", draw);
draw();
