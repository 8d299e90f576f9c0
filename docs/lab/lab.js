// The lab's page, live: `qpsdk lab --site` tells by live.json that it is there, and then sends each
// line as a server-sent event. The copy of live.json in the built site says that nobody is.

const MOST_LINES = 2000; // as many as the lab keeps

async function begin(lab) {
  const { events, smtp } = await (await fetch("live.json")).json();
  if (!events) return;

  const status = document.createElement("p");
  const log = document.createElement("div");
  const clear = document.createElement("button");
  status.setAttribute("role", "status");
  log.className = "lab-log";
  log.setAttribute("role", "log");
  log.setAttribute("aria-label", "What the lab does");
  log.tabIndex = 0; // so that it scrolls by keyboard
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
  source.onmessage = ({ data }) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(drawn(JSON.parse(data)));
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
}

function drawn({ spans, html }) {
  const line = document.createElement("div");
  if (html) line.innerHTML = html; // made, and escaped, by qpsdk.explain
  for (const [kind, text] of spans ?? []) {
    const span = document.createElement("span");
    span.className = `lab-${kind}`;
    span.textContent = text;
    line.append(span);
  }
  return line;
}

begin(document.getElementById("lab"));
