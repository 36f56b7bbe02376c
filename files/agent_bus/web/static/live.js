// The page's one stream. The browser comes back by itself after a cut connection; after a refusal
// (the hub is starting, or the session has ended) it would not, so this does.

const LONGEST_MS = 15000;
const WORDS = { on: "live", off: "connecting", lost: "connection lost, retrying" };

export function listen(handlers) {
  const shown = document.getElementById("link");
  let source = null;
  let delay = 500;
  let timer = 0;

  const show = (is) => {
    shown.dataset.is = is;
    shown.textContent = WORDS[is];
  };

  const open = () => {
    source = new EventSource("/ui/stream");
    source.onopen = () => {
      delay = 500;
      show("on");
    };
    source.onerror = () => {
      show("lost");
      if (source.readyState === EventSource.CLOSED) again();
    };
    source.addEventListener("bye", (event) => {
      if (JSON.parse(event.data).reason === "revoked") location.assign("/login");
    });
    for (const [type, handle] of Object.entries(handlers)) {
      source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
    }
  };

  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      delay = Math.min(LONGEST_MS, delay * 2);
      try {
        const answer = await fetch("/ui/session");
        if (answer.status === 401) return location.assign("/login");
        open();
      } catch {
        again();
      }
    }, delay * (0.5 + Math.random()));
  };

  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
}
