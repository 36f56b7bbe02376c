// One stream from the hub, for as long as it is wanted. The browser comes back by itself after a
// cut connection; after a refusal (the hub is starting, or the session has ended) it would not,
// so this does. Silence counts as a cut: nobody tells a browser that its hub has lost power.

const LONGEST_MS = 15000;
const ANSWER_MS = 10000;

// `tell(type, value)`: "link" with on, off or lost; "login"; and what the hub says.
export function follow(tell) {
  let source = null;
  let delay = 500;
  let again = 0;
  let silence = 0;
  let quietMs = 40000; // two and a half keepalives; the hub tells when it is another
  let isRenewed = false;

  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(comeBack, quietMs);
  };

  const close = () => {
    clearTimeout(again);
    clearTimeout(silence);
    again = 0;
    source?.close();
    source = null;
  };

  const open = () => {
    close();
    heard();
    source = new EventSource("/ui/stream");
    source.onopen = () => {
      delay = 500;
      isRenewed = false;
      tell("link", "on");
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) comeBack();
      else tell("link", isRenewed ? "off" : "lost");
    };
    source.addEventListener("bye", (event) => {
      isRenewed = JSON.parse(event.data).reason === "lifetime";
    });
    source.addEventListener("still", (event) => {
      quietMs = JSON.parse(event.data).keepalive_s * 2500;
      heard();
    });
    for (const type of ["fleet", "feed"]) {
      source.addEventListener(type, (event) => {
        heard();
        tell(type, JSON.parse(event.data));
      });
    }
  };

  const comeBack = () => {
    close();
    tell("link", "lost");
    again = setTimeout(async () => {
      const own = again;
      delay = Math.min(LONGEST_MS, delay * 2);
      const answer = await fetch("/ui/session", { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null);
      if (own !== again || source) return; // stopped or started meanwhile
      if (answer?.status === 401) {
        again = 0; // until a tab asks anew, signed in
        tell("login");
      } else if (answer) open();
      else comeBack();
    }, delay * (0.5 + Math.random()));
  };

  return {
    start() {
      if (!source && !again) open();
    },
    stop() {
      close();
      tell("link", "off");
    },
  };
}
