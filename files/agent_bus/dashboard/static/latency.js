// How long each hop takes: a histogram and a line over the last hour for each.

import { live } from "./app.js";
import { svg } from "./svg.js";

const [WIDTH, HEIGHT, FOOT] = [360, 96, 18];

const ms = (value) => (value >= 60000 ? `${+(value / 60000).toPrecision(2)} min` : value >= 1000 ? `${+(value / 1000).toPrecision(3)} s` : `${+value.toPrecision(3)} ms`);

function histogram(of) {
  const used = of.counts.map((count, number) => (count ? number : -1)).filter((number) => number >= 0);
  const first = Math.max(0, (used[0] ?? 0) - 1);
  const last = Math.min(of.counts.length - 1, (used.at(-1) ?? 3) + 1);
  const shown = of.counts.slice(first, last + 1);
  const most = Math.max(1, ...shown);
  const wide = WIDTH / shown.length;
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`, role: "img", "aria-label": `Distribution of ${of.title}` });
  shown.forEach((count, number) => {
    const high = (HEIGHT - 4) * (count / most);
    const bound = of.bounds[first + number];
    const words = bound === undefined ? `over ${ms(of.bounds.at(-1))}` : `up to ${ms(bound)}`;
    const bar = svg("rect", { class: "bar-rect", x: number * wide + 1, y: HEIGHT - high, width: Math.max(1, wide - 2), height: high, rx: 2 });
    bar.append(svg("title", {}, `${words}: ${count}`));
    root.append(bar);
    const step = Math.ceil(shown.length / 6);
    if (bound !== undefined && number % step === 0 && number < shown.length - 1) root.append(svg("text", { class: "soft", x: (number + 1) * wide, y: HEIGHT + FOOT - 4, "text-anchor": "middle" }, ms(bound)));
  });
  root.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  return root;
}

function lines(points, names, unit) {
  if (!points.length) return svg("svg", { viewBox: `0 0 ${WIDTH} ${FOOT}`, role: "img", "aria-label": "No line yet" }, svg("text", { class: "soft", x: 0, y: 13 }, "no line yet: nothing came in between two samples"));
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`, role: "img", "aria-label": `Over time, ${names.join(" and ")}` });
  const most = Math.max(1e-6, ...points.flatMap((point) => point.slice(1)));
  const [start, end] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 1];
  const x = (at) => (end > start ? ((at - start) / (end - start)) * WIDTH : WIDTH / 2);
  const y = (value) => HEIGHT - 2 - (HEIGHT - 16) * (value / most);
  names.forEach((name, number) => {
    const path = points.map((point) => `${x(point[0]).toFixed(1)},${y(point[number + 1]).toFixed(1)}`).join(" ");
    root.append(svg("polyline", { class: `line ${number ? "p99" : "p50"}`, points: path }));
    if (points.length === 1) root.append(svg("circle", { class: "dot", cx: x(points[0][0]), cy: y(points[0][number + 1]), r: 4 }));
  });
  root.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  root.append(svg("text", { class: "soft", x: 0, y: 10 }, `up to ${unit(most)}`));
  const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (points.length > 1) root.append(svg("text", { class: "soft", x: 0, y: HEIGHT + FOOT - 4 }, clock(start)), svg("text", { class: "soft", x: WIDTH, y: HEIGHT + FOOT - 4, "text-anchor": "end" }, clock(end)));
  return root;
}

function card(title, words, ...drawn) {
  const made = document.createElement("section");
  made.className = "plot";
  const head = document.createElement("h2");
  head.textContent = title;
  const figures = document.createElement("p");
  figures.textContent = words;
  made.append(head, figures, ...drawn);
  return made;
}

const figures = (of) => (of.count ? `median ${ms(of.p50)} · p90 ${ms(of.p90)} · p99 ${ms(of.p99)} · ${of.count} timed` : "nothing timed yet");

function show(measured) {
  const cards = measured.cards.map((one) => card(one.title, figures(one), histogram(one), lines(one.over_time, ["median", "p99"], ms)));
  const perMinute = (value) => `${+value.toPrecision(3)} a minute`;
  cards.push(card("messages and acks (dashed) a minute", "", lines(measured.throughput, ["messages", "acks"], perMinute)));
  document.getElementById("plots").replaceChildren(...cards);
  document.getElementById("hosts").replaceChildren(...measured.hosts.map((host) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const link = document.createElement("a");
    link.href = `/latency?host=${encodeURIComponent(host.node)}`;
    link.textContent = host.node;
    head.append(link);
    row.append(head);
    for (const hop of ["pushed", "received", "accepted", "fetched", "read"]) {
      const cell = row.insertCell();
      cell.className = "num";
      cell.textContent = host[hop] ? `${host[hop].p50} / ${host[hop].max}` : "–";
    }
    return row;
  }));
}

let waiting = false;
live({
  feed: () => {
    // Told by the stream that something happened; asked for at most every 5 s, never when quiet.
    if (waiting) return;
    waiting = true;
    setTimeout(async () => {
      waiting = false;
      const answer = await fetch(`/ui/measures${location.search}`).catch(() => null);
      if (answer?.ok) show(await answer.json());
    }, 5000);
  },
});
show(JSON.parse(document.getElementById("measured").textContent));
