// What all pages have: times that age, the operator's actions, and the state of the connection.

import { listen } from "./live.js";
import { hubTime, tell } from "./times.js";

const ask = document.getElementById("ask");
const send = document.getElementById("send");
const form = document.getElementById("send-form");
const told = document.getElementById("told");
const csrf = document.querySelector("meta[name=csrf]").content;

const ASKED = {
  wake: (agent) => [`Wake ${agent}?`, "Its watcher wakes it again if it has mail that it has not fetched.", "Wake"],
  mute: (agent) => [`Mute ${agent}?`, "Mail goes on; the agent is not woken meanwhile.", "Mute"],
  pause: (who) => [`Pause ${who}?`, "Mail goes on; nobody of them is woken, not even for urgent mail.", "Pause"],
  resume: (who) => [`Resume ${who}?`, "Who has mail is woken at once, unless something else holds it.", "Resume"],
  answer: (agent, choice) => [`Answer "${choice}"?`, `${agent} goes on with it at once; a question takes one answer.`, "Answer"],
  release: () => ["Let it go on?", "What waits wakes its agents, and the counting begins anew.", "Let it go on"],
  ack: (agent) => [`Mark as read for ${agent}?`, "The agent will not be shown this message again.", "Mark as read"],
};
const DONE = {
  wake: (answer) => `${answer.node}'s watcher was asked to wake ${answer.agent}; ${answer.unfetched} not yet fetched.`,
  mute: (answer) => (answer.muted_until ? `${answer.agent} is muted until ${answer.muted_until}.` : `${answer.agent} is no longer muted.`),
  pause: (answer) => `${answer.who} is paused.`,
  resume: (answer) =>
    `${answer.who} ${answer.ended ? "is no longer" : "was not"} paused.` +
    (answer.held.length ? ` Still held: ${answer.held.map((one) => `${one.agent} (${one.reason})`).join(", ")}.` : ""),
  ack: (answer) => (answer.acked.length ? `Marked as read for ${answer.agent}.` : `${answer.agent} had read it already.`),
  release: (answer) => `${answer.agents.join(", ")} go on.`,
  answer: (answer) => `Answered; ${answer.asker} has it.`,
  send: (answer) => `Sent to ${answer.recipients.map((one) => `${one.agent} (${one.reachability})`).join(", ")}.`,
};

let fading = 0;
function say(words) {
  told.textContent = words;
  told.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (told.hidden = true), 8000);
}

export async function act(name, body) {
  try {
    const answer = await fetch(`/ui/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
    const content = await answer.json();
    if (answer.status === 401) return location.assign("/login");
    say(answer.ok ? DONE[name](content) : content.detail);
    return answer.ok;
  } catch {
    say("The hub does not answer; nothing is known to have been done.");
  }
}

// Resolves once the operator says "go". The form tells that at once; `close` comes a frame later,
// when the dialog may be open for the next question already, and would answer that one, too.
function chosen(dialog) {
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = (event) => {
      if (event.submitter.value === "go") resolve();
    };
  });
}

async function confirmed(button) {
  const { action, agent, id, choice } = button.dataset;
  const [title, words, go] = ASKED[action](agent, choice);
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-words").textContent = words;
  document.getElementById("ask-go").textContent = go;
  document.getElementById("ask-mute").hidden = action !== "mute";
  document.getElementById("ask-pause").hidden = action !== "pause";
  ask.querySelector("form").reset();
  await chosen(ask);
  const body = action === "release" ? { what: id } : action === "answer" ? { id, choice } : /^(pause|resume)$/.test(action) ? { who: agent } : { agent };
  const { for_s, pause_s, note } = ask.querySelector("form").elements;
  if (action === "mute") body.for_s = Number(for_s.value);
  if (action === "pause" && pause_s.value) body.for_s = Number(pause_s.value);
  if (action === "pause" && note.value) body.note = note.value;
  if (action === "ack") body.id = id;
  const isShown = action === "answer" && document.getElementById("question"); // it follows by itself
  if ((await act(action, body)) && ["ack", "answer"].includes(action) && !isShown) setTimeout(() => location.reload(), 800);
}

async function write(button) {
  form.reset();
  form.elements.to.value = button.dataset.to ?? "";
  form.elements.reply_to.value = button.dataset.reply ?? "";
  const subject = button.dataset.subject ?? "";
  form.elements.subject.value = subject && !subject.startsWith("Re: ") ? `Re: ${subject}`.slice(0, 200) : subject;
  await chosen(send);
  const fields = Object.fromEntries(new FormData(form));
  const to = fields.to.split(/[\s,]+/).filter(Boolean);
  const body = { from: "operator", body: fields.body, priority: fields.priority };
  if (!to.includes("*")) body.to = to;
  if (fields.subject) body.subject = fields.subject;
  if (fields.reply_to) body.reply_to = fields.reply_to;
  await act("send", body);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.action) confirmed(button);
  if (button?.dataset.open === "send") write(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  const field = document.querySelector("main input[type=search]");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});

export function live(handlers = {}) {
  const { fleet, ...others } = handlers;
  listen({
    fleet: (event) => {
      hubTime(event.now);
      fleet?.(event);
    },
    ...others,
  });
}

// The mark of the first page after signing in is not to be bookmarked.
if (location.search === "?entered=1") history.replaceState(null, "", location.pathname);
hubTime(document.querySelector("meta[name=now]").content);
tell();
setInterval(tell, 1000);
// Modules that import this one listen with their own handlers.
if (import.meta.url === document.querySelector("script[type=module]").src) live();
