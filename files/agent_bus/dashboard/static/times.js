// Times as people say them; the hub's clock counts, not the browser's.

let ahead = 0;

export function hubTime(iso) {
  ahead = Date.parse(iso) - Date.now();
}

export function ago(iso) {
  const s = Math.max(0, Math.round((Date.now() + ahead - Date.parse(iso)) / 1000));
  if (s < 5) return "now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function tell(root = document) {
  for (const time of root.querySelectorAll("time:not([data-clock])")) {
    const words = ago(time.dateTime);
    if (time.textContent !== words) time.textContent = words;
  }
}

export function timeOf(iso, otherwise = "–") {
  const made = document.createElement(iso ? "time" : "span");
  if (iso) {
    made.dateTime = made.title = iso;
    made.textContent = ago(iso);
  } else {
    made.className = "none";
    made.textContent = otherwise;
  }
  return made;
}
