// Where the lines of qpsdk.lab.display are shown: those of the lab, and those of the SMTP console.

const MOST_LINES = 2000; // as many as the lab keeps

// An empty one; `label` is what a screen reader calls it, `empty` what it says while it is empty.
export function newLog(label, empty) {
  const log = document.createElement("div");
  log.className = "lab-log";
  log.setAttribute("role", "log");
  log.setAttribute("aria-label", label);
  log.dataset.empty = empty;
  log.tabIndex = 0; // so that it scrolls by keyboard
  return log;
}

// Add a line, in JSON; a reader who looks at the end goes on to see the end.
export function write(log, line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(drawn(JSON.parse(line)));
  while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
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
