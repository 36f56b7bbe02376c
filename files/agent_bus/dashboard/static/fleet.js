// The fleet, brought up to date row by row: only what the stream says has changed is touched.

import { live } from "./app.js";
import { timeOf } from "./times.js";

const body = document.getElementById("agents");
const model = document.getElementById("agent-row").content.querySelector("tr");
const filter = document.getElementById("filter");
const onlyProblems = document.getElementById("only-problems");
const rows = new Map();
const facts = new Map();

for (const row of body.rows) rows.set(row.dataset.agent, row);

function part(row, name) {
  return row.querySelector(`[data-f="${name}"]`);
}

function setText(element, words) {
  const text = String(words);
  if (element.textContent !== text) element.textContent = text;
}

function setTime(element, iso) {
  const old = element.firstElementChild;
  if ((old?.dateTime ?? "") !== (iso ?? "")) element.replaceChildren(timeOf(iso));
}

function fill(row, fact) {
  row.dataset.agent = fact.name;
  row.dataset.problem = fact.problem;
  const link = part(row, "name");
  setText(link, fact.name);
  link.href = `/messages?agent=${encodeURIComponent(fact.name)}`;
  setText(part(row, "node"), fact.node ?? "");
  const status = part(row, "status");
  setText(status, fact.status);
  status.dataset.state = fact.status;
  part(row, "asked").hidden = fact.status !== "guest"; // it reads when it asks, so that is all there is to know
  setTime(part(row, "last_seen_at"), fact.last_seen_at);
  const held = part(row, "held");
  setText(held, fact.held ?? "");
  held.dataset.state = fact.held ?? "";
  held.hidden = !fact.held || fact.held === fact.status;
  held.title = fact.muted_until ? `until ${fact.muted_until}` : "";
  setText(part(row, "unread"), fact.unread);
  setTime(part(row, "oldest_unread_at"), fact.oldest_unread_at);
  setTime(part(row, "last_wake_at"), fact.last_wake_at);
  setText(part(row, "watcher_version"), fact.watcher_version ?? "–");
  status.title = fact.last_seen_at ? `last seen ${fact.last_seen_at}` : "";
  for (const button of row.querySelectorAll("button")) {
    button.dataset.agent = fact.name;
    setText(button.firstElementChild, ` ${fact.name}`);
    button.hidden = ["guest", "retired"].includes(fact.status);
  }
}

function before(a, b) {
  return b.problem - a.problem || (a.node ?? "~").localeCompare(b.node ?? "~") || a.name.localeCompare(b.name);
}

function arrange() {
  const focused = document.activeElement;
  const ordered = [...facts.values()].sort(before);
  let place = body.firstElementChild;
  for (const fact of ordered) {
    const row = rows.get(fact.name);
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  if (focused !== document.activeElement) focused.focus({ preventScroll: true }); // lost with a row that moved
}

function sift() {
  const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const [name, row] of rows) {
    const fact = facts.get(name);
    const text = fact ? `${fact.name} ${fact.node} ${fact.status} ${fact.held ?? ""}`.toLowerCase() : name;
    const fits = words.every((word) => text.includes(word)) && (!onlyProblems.checked || Number(row.dataset.problem) > 0);
    row.hidden = !fits;
    shown += fits;
  }
  document.getElementById("empty").hidden = shown > 0;
}

function showAlerts(alerts) {
  document.getElementById("alerts").replaceChildren(
    ...alerts.map((alert) => {
      const line = document.createElement("li");
      line.dataset.severity = alert.severity;
      const words = document.createElement("b");
      words.textContent = alert.words;
      const advice = document.createElement("span");
      advice.textContent = alert.advice;
      const name = document.createElement("span");
      name.className = "mono";
      name.textContent = alert.name;
      line.append(words, " ", advice, " ", name);
      return line;
    }),
  );
}

function showHosts(nodes) {
  document.getElementById("hosts").replaceChildren(
    ...nodes.map((node) => {
      const chip = document.createElement("span");
      chip.className = "state";
      chip.dataset.state = node.status;
      chip.textContent = node.node;
      const unknown = node.unconfigured.length ? `; no settings for ${node.unconfigured.join(", ")}` : "";
      chip.title = `${node.status}: ${node.agent_count} agents, watcher ${node.watcher_version ?? "not connected"}${unknown}`;
      const item = document.createElement("li");
      item.dataset.node = node.node;
      item.append(chip);
      return item;
    }),
  );
}

function showPauses(pauses) {
  const blank = document.getElementById("pause-row").content.querySelector("li");
  document.getElementById("pauses").hidden = pauses.length === 0;
  document.getElementById("pause-rows").replaceChildren(
    ...pauses.map((fact) => {
      const row = blank.cloneNode(true);
      row.dataset.who = fact.who;
      const reason = part(row, "reason");
      setText(reason, fact.reason);
      reason.dataset.state = fact.reason;
      setText(part(row, "who"), fact.who);
      setText(part(row, "note"), fact.note ?? "");
      setTime(part(row, "since"), fact.since);
      if (fact.until) setTime(part(row, "until"), fact.until);
      const button = row.querySelector("button");
      button.dataset.agent = fact.who;
      setText(button.firstElementChild, ` ${fact.who}`);
      return row;
    }),
  );
}

function showStorms(storms) {
  const blank = document.getElementById("storm-row").content.querySelector("li");
  document.getElementById("storms").hidden = storms.length === 0;
  document.getElementById("storm-rows").replaceChildren(
    ...storms.map((fact) => {
      const row = blank.cloneNode(true);
      row.dataset.key = fact.key;
      const level = part(row, "level");
      setText(level, fact.level);
      level.dataset.state = fact.level;
      setText(part(row, "agents"), fact.agents.join(", "));
      setText(part(row, "reason"), fact.reason);
      setText(part(row, "withheld"), fact.withheld);
      setTime(part(row, "since_at"), fact.since_at);
      row.querySelector("button").dataset.id = fact.key;
      return row;
    }),
  );
}

// The hubs and their database; the panel is there when there are several.
function showHubs(hubs) {
  const place = document.getElementById("hub-rows");
  if (!place) return;
  const blank = document.getElementById("hub-row").content.querySelector("tr");
  place.replaceChildren(
    ...hubs.rows.map((fact) => {
      const row = blank.cloneNode(true);
      row.dataset.host = fact.name;
      const link = part(row, "name");
      const isElsewhere = Boolean(fact.url) && !fact.answers;
      link.hidden = !isElsewhere;
      link.href = `${fact.url}/`;
      part(row, "here").hidden = isElsewhere;
      for (const element of [link, part(row, "here")]) setText(element, fact.name);
      part(row, "own").hidden = !fact.answers;
      for (const name of ["hub", "database", "etcd"]) {
        const chip = part(row, name);
        setText(chip, fact[name]);
        chip.dataset.state = fact[name];
        chip.hidden = !fact[name];
      }
      setText(part(row, "lag"), fact.lag || "–");
      setText(part(row, "timeline"), fact.timeline ?? "–");
      setTime(part(row, "seen_at"), fact.seen_at);
      setText(part(row, "version"), fact.version ?? "–");
      return row;
    }),
  );
  document.getElementById("hub-words").replaceChildren(
    ...hubs.words.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }),
  );
}

let kept = { alerts: "", nodes: "", hubs: "", storms: "", pauses: "" };
live({
  fleet: (event) => {
    if (event.full) {
      const there = new Set(event.agents.map((fact) => fact.name));
      for (const name of rows.keys()) if (!there.has(name)) event.gone.push(name);
    }
    for (const name of event.gone) {
      rows.get(name)?.remove();
      rows.delete(name);
      facts.delete(name);
    }
    for (const fact of event.agents) {
      if (!rows.has(fact.name)) rows.set(fact.name, model.cloneNode(true));
      facts.set(fact.name, fact);
      fill(rows.get(fact.name), fact);
    }
    if (event.agents.length) arrange();
    sift();
    const now = {
      alerts: JSON.stringify(event.alerts),
      nodes: JSON.stringify(event.nodes),
      hubs: JSON.stringify(event.hubs ?? ""),
      storms: JSON.stringify(event.storms),
      pauses: JSON.stringify(event.pauses),
    };
    if (now.alerts !== kept.alerts) showAlerts(event.alerts);
    if (now.nodes !== kept.nodes) showHosts(event.nodes);
    if (event.hubs && now.hubs !== kept.hubs) showHubs(event.hubs);
    if (now.storms !== kept.storms) showStorms(event.storms);
    if (now.pauses !== kept.pauses) showPauses(event.pauses);
    kept = now;
    for (const shown of document.querySelectorAll("[data-t]")) setText(shown, event.totals[shown.dataset.t]);
  },
});
filter.addEventListener("input", sift);
onlyProblems.addEventListener("change", sift);
