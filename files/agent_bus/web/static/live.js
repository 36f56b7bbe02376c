// The page's one stream. The browser comes back by itself after a cut connection; after a refusal
// (the hub is starting, or the session has ended) it would not, so this does. A tab that nobody
// has looked at for a minute lets go: a browser has only six connections to one server.

const LONGEST_MS = 15000;
const UNSEEN_MS = 60000;
const WORDS = { on: "live", off: "connecting", lost: "connection lost, retrying" };

export function listen(handlers) {
  const shown = document.getElementById("link");
  let source = null;
  let delay = 500;
  let timer = 0;
  let unseen = 0;
  let isRenewed = false;

  const show = (is) => {
    shown.dataset.is = is;
    shown.textContent = WORDS[is];
  };

  const open = () => {
    source = new EventSource("/ui/stream");
    source.onopen = () => {
      delay = 500;
      isRenewed = false;
      show("on");
    };
    source.onerror = () => {
      show(isRenewed ? "off" : "lost");
      if (source.readyState === EventSource.CLOSED) again();
    };
    source.addEventListener("bye", (event) => {
      const { reason } = JSON.parse(event.data);
      if (reason === "revoked") location.assign("/login");
      isRenewed = reason === "lifetime";
    });
    for (const [type, handle] of Object.entries(handlers)) {
      source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
    }
  };

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
    show("off");
  };

  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      delay = Math.min(LONGEST_MS, delay * 2);
      try {
        const answer = await fetch("/ui/session");
        if (answer.status === 401) return location.assign("/login");
        if (source?.readyState === EventSource.CLOSED) open();
      } catch {
        again();
      }
    }, delay * (0.5 + Math.random()));
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(close, UNSEEN_MS);
    else if (!source) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && !source && open());
  open();
}
