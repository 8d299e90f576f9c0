// The SMTP console: a session with the plugins that are in the editor.

import { newLog, write } from "../lab/log.js";
import { edit } from "./editor.js";
import { Engine } from "./engine.js";

const SAMPLE = [
  "EHLO client.example.org",
  "MAIL FROM:<sender@example.org>",
  "RCPT TO:<bob@example.com>",
  "RCPT TO:<ann@example.com>",
  "DATA",
  null, // the message
  "QUIT",
];

const page = document.getElementById("console");
const [code] = page.querySelectorAll("code");
const written = code.textContent.trimEnd();
page.querySelector(":scope > [hidden]").hidden = false;
const part = (name) => page.querySelector(`[name=${name}]`);
const [line, message, status] = ["line", "message", "status"].map(part);

const engine = new Engine("console", shown);
const log = newLog("The session", "Begin a session, or play a sample.");
part("log").replaceWith(log);

const place = document.createElement("div");
place.className = "live-editor";
const still = code.closest(".highlight");
still.replaceWith(place);
const view = edit(place, written, { label: "Your plugins", run: begin });

let waitsFor = "closed"; // what the server waits for: commands, a message, or nothing any more
let busy = false;

function shown(_kind, text) {
  write(log, text);
}

// Ask the session for something; whether there still is one.
async function ask(what, text) {
  busy = true;
  status.textContent = engine.running ? "" : "Loading Python, 6 MB, once ...";
  try {
    waitsFor = await engine.ask([what, text], shown);
    status.textContent = waitsFor === "closed" ? "No session: begin one." : "";
  } catch (error) {
    waitsFor = "closed";
    status.textContent = error.message;
  }
  busy = false;
  part("sending").hidden = waitsFor !== "message";
  part("saying").hidden = waitsFor === "message";
  return waitsFor !== "closed";
}

async function begin() {
  if (busy) engine.stop("Stopped, and begun afresh.");
  log.replaceChildren();
  return ask("begin", view.state.doc.toString());
}

async function say(text) {
  if (waitsFor === "closed" && !(await begin())) return;
  await ask("say", text);
}

async function sample() {
  if (!(await begin())) return;
  for (const text of SAMPLE) {
    if (waitsFor === "closed") return;
    if (text !== null) await ask("say", text);
    else if (waitsFor === "message") await ask("send", message.value);
  }
}

const said = []; // the lines so far, for the arrow keys
let at = 0;

function recall(step) {
  at = Math.max(0, Math.min(said.length, at + step));
  line.value = said[at] ?? "";
}

line.onkeydown = (event) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  recall(step);
};

part("saying").onsubmit = async (event) => {
  event.preventDefault();
  if (busy) return;
  const text = line.value;
  if (text && text !== said.at(-1)) said.push(text);
  at = said.length;
  line.value = "";
  await say(text);
  (waitsFor === "message" ? message : line).focus();
};

part("sending").onsubmit = async (event) => {
  event.preventDefault();
  if (busy) return;
  await ask("send", message.value);
  line.focus();
};

part("begin").onclick = () => begin().then(() => line.focus());
part("sample").onclick = sample;
part("reset").onclick = () => {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: written } });
  begin();
};
