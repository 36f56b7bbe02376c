// The page of a question: its state follows the hub's while the page is open.

import { live } from "./app.js";

const box = document.getElementById("question");

async function look() {
  const answer = await fetch(`/ui/question?id=${box.dataset.id}`).catch(() => null);
  if (!answer?.ok) return;
  const of = await answer.json();
  box.dataset.state = of.state;
  box.querySelector("[data-f=state]").textContent = of.state;
  box.querySelector("[data-f=state]").dataset.state = of.state;
  box.querySelector("[data-f=choices]").hidden = of.state !== "open";
  const words = box.querySelector("[data-f=answer]");
  words.hidden = of.state !== "answered";
  for (const name of ["answered_by", "choice", "answered_at"]) {
    words.querySelector(`[data-f=${name}]`).textContent = of[name] ?? "";
  }
}

live({
  feed: (event) => event.messages.some((one) => one.thread_id === box.dataset.thread) && look(),
  fleet: (event) => event.full && look(), // the stream is back: what was missed meanwhile?
});
