// The lab's page, live: `qpsdk lab --site` tells by live.json that it is there, and then sends each
// line as a server-sent event. The copy of live.json in the built site says that nobody is.

import { newLog, write } from "./log.js";

async function begin(lab) {
  const { events, smtp } = await (await fetch("live.json")).json();
  if (!events) return;

  const status = document.createElement("p");
  const log = newLog("What the lab does", "No message has come yet.");
  const clear = document.createElement("button");
  status.setAttribute("role", "status");
  clear.className = "md-button";
  clear.textContent = "Clear";
  clear.onclick = () => log.replaceChildren();
  lab.replaceChildren(status, log, clear);

  const source = new EventSource(events);
  source.onopen = () => {
    log.replaceChildren(); // what is kept comes again
    status.textContent = `Live: the mail host listens on ${smtp}.`;
  };
  source.onerror = () => {
    status.textContent = "The lab has stopped; this page goes on when it is started again.";
  };
  source.onmessage = ({ data }) => write(log, data);
}

begin(document.getElementById("lab"));
