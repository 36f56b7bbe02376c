// What the hub tells the page: through the worker that all tabs share. A browser without shared
// workers (some on phones) has a stream for the tab that is looked at, and for no other.

import { follow } from "./stream.js";

const UNSEEN_MS = 60000;
const GONE_MS = 3000; // a hub that restarts is back by then, as a rule
const WORDS = { on: "live", off: "connecting", lost: "connection lost, retrying" };

export function listen(handlers) {
  const shown = document.getElementById("link");
  const elsewhere = document.getElementById("elsewhere");
  let gone = 0;
  const take = (type, value) => {
    if (type === "link") {
      shown.dataset.is = value;
      shown.textContent = WORDS[value];
      if (elsewhere && value !== "lost") {
        clearTimeout(gone);
        gone = 0;
        elsewhere.hidden = true;
      } else if (elsewhere && !gone) gone = setTimeout(() => (elsewhere.hidden = false), GONE_MS);
    } else if (type === "login") location.assign("/login");
    else handlers[type]?.(value);
  };
  if (globalThis.SharedWorker) share(take);
  else listenAlone(take);
}

function share(take) {
  let port = null;
  let isBroken = false;
  const join = () => {
    const worker = new SharedWorker(new URL("worker.js", import.meta.url), { type: "module" });
    worker.onerror = () => {
      if (!isBroken) listenAlone(take);
      isBroken = true;
    };
    port = worker.port;
    port.onmessage = ({ data }) => take(data.type, data.value);
  };
  addEventListener("pagehide", () => {
    port.postMessage("leave");
    port.close();
  });
  addEventListener("pageshow", (event) => event.persisted && join());
  join();
}

function listenAlone(take) {
  const stream = follow(take);
  let unseen = 0;
  const look = () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(stream.stop, UNSEEN_MS);
    else stream.start();
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", stream.stop);
  addEventListener("pageshow", (event) => event.persisted && look());
  look(); // a tab opened in the background is hidden from the first, and no event says so
}
