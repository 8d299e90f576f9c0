// Makes the cells of a page live: Run runs one in the reader's browser, and its code can be edited.
// Without this script the page shows code and recorded output, as the build made them.

import { Engine } from "./engine.js";

const HINT = "Ctrl+Enter runs it. Esc, then Tab, leaves it.";
const engine = new Engine("cells");

class Cell {
  #box;
  #code;
  #view = null; // the editor, once there is one
  #opening = false; // it is being loaded
  #ran = false; // in the Python that is now there, with the code that is now there
  #busy = false;

  constructor(box, number, above) {
    this.#box = box;
    this.#code = box.querySelector("code");
    this.#static.id ||= `cell-${number}`;
    this.number = number;
    this.above = above;
    this.recorded = box.querySelector(".recorded");
    this.output = element("div", { className: "live-output", ariaLive: "polite" });
    this.runButton = this.#button("Run", () => (this.#busy ? this.#stop() : this.run()));
    this.aboveButton = this.#button("Run all above", () => this.runWithAbove());
    this.aboveButton.title = "Run every cell above, then this one";
    this.editButton = this.#button("Edit", () => this.edit());
    this.resetButton = this.#button("Reset", () => this.#reset());
    this.status = element("span", { className: "live-status", role: "status" });
    const bar = element("div", { className: "live-bar" });
    bar.append(this.runButton, this.aboveButton, this.editButton, this.resetButton, this.status);
    this.#static.after(bar, this.output);
    this.#static.addEventListener("click", (event) => this.#clicked(event));
    this.show();
  }

  get #static() {
    return this.#code.closest(".highlight");
  }

  // The code as the page has it.
  get #written() {
    return this.#code.textContent.trimEnd();
  }

  get source() {
    return this.#view?.state.doc.toString() ?? this.#written;
  }

  get isNext() {
    return this.above.every((cell) => cell.#ran);
  }

  // The buttons that there is something to do for.
  show() {
    this.aboveButton.hidden = this.#busy || this.isNext;
    this.editButton.hidden = this.#view !== null;
    this.resetButton.hidden = this.source === this.#written;
    this.runButton.textContent = this.#busy ? "Stop" : "Run";
    this.#box.dataset.state = this.#busy ? "busy" : this.#ran ? "ran" : "";
  }

  async runWithAbove() {
    for (const cell of [...this.above.filter((cell) => !cell.#ran), this]) {
      if (!(await cell.run())) return;
    }
  }

  // Whether it came to its end.
  async run() {
    const output = new Output();
    this.output.replaceChildren(output.box);
    this.#busy = true;
    this.#ran = false;
    this.status.textContent = engine.running ? "Running ..." : "Loading Python, 6 MB, once ...";
    all();
    try {
      const request = [this.source, `cell ${this.number}`];
      this.#ran = await engine.ask(request, (kind, text) => output.show(kind, text));
    } catch (error) {
      output.show("error", error.message);
    }
    this.#busy = false;
    this.status.textContent = this.#ran
      ? ""
      : this.isNext
        ? "It did not come to its end."
        : "It may need the cells above: Run all above.";
    if (this.recorded) this.recorded.hidden = true;
    if (this.#ran && output.isEmpty) this.status.textContent = "Done; it prints nothing.";
    all();
    return this.#ran;
  }

  #stop() {
    engine.stop("Stopped. Python begins afresh: the cells above have to be run again.");
    for (const cell of cells) cell.#ran = false;
    all();
  }

  async edit(event) {
    if (this.#view || this.#opening) return; // a double click asks twice
    this.#opening = true;
    window.addEventListener("keydown", swallow, true);
    try {
      await this.#open(event);
    } finally {
      window.removeEventListener("keydown", swallow, true);
      this.#opening = false;
    }
  }

  async #open(event) {
    const { edit } = await import("./editor.js");
    const place = element("div", { className: "live-editor" });
    this.#static.before(place);
    this.#static.hidden = true;
    this.#view = edit(place, this.#written, {
      label: `Cell ${this.number}`,
      run: () => this.#busy || this.run(),
      changed: () => {
        this.#ran = false;
        all();
      },
    });
    this.#view.focus();
    const at = event && this.#view.posAtCoords({ x: event.clientX, y: event.clientY });
    if (at) this.#view.dispatch({ selection: { anchor: at } });
    this.status.textContent = HINT;
    this.show();
  }

  // A click into the code edits it; dragging over it selects, to copy.
  #clicked(event) {
    if (event.target.closest("code") && getSelection().isCollapsed) this.edit(event);
  }

  #reset() {
    const { state } = this.#view;
    this.#view.dispatch({ changes: { from: 0, to: state.doc.length, insert: this.#written } });
    this.output.replaceChildren();
    if (this.recorded) this.recorded.hidden = false;
    this.#view.focus();
  }

  #button(text, onclick) {
    const button = element("button", { type: "button", textContent: text, onclick });
    button.setAttribute("aria-describedby", this.#static.id);
    return button;
  }
}

// What a cell shows, as the build shows what it has recorded: the log comes last.
class Output {
  box = document.createDocumentFragment();
  #blocks = element("div");
  #log = element("div");

  constructor() {
    this.box.append(this.#blocks, this.#log);
  }

  get isEmpty() {
    return !this.#blocks.hasChildNodes() && !this.#log.hasChildNodes();
  }

  show(kind, text) {
    if (kind === "html") {
      // Of the reader's own code, in the reader's own browser.
      this.#blocks.append(element("div", { className: "drawn", tabIndex: 0, innerHTML: text }));
    } else if (kind === "stderr") {
      this.#text(this.#log, kind, "logs", text);
    } else {
      this.#text(this.#blocks, kind, kind === "error" ? "fails" : "prints", text);
    }
  }

  #text(parent, kind, title, text) {
    if (parent.lastElementChild?.dataset.kind !== kind) {
      const block = element("div", { className: "language-text highlight" });
      const pre = element("pre", { tabIndex: 0 });
      block.dataset.kind = kind;
      pre.append(element("code"));
      block.append(element("span", { className: "filename", textContent: title }), pre);
      parent.append(block);
    }
    parent.lastElementChild.querySelector("code").append(text);
  }
}

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

// What is typed before the editor is there: to the theme, n and p are the way to other pages.
function swallow(event) {
  const command = event.ctrlKey || event.metaKey || event.altKey || event.key.length > 1;
  if (command || event.target.closest("input, textarea, [contenteditable]")) return;
  event.preventDefault();
  event.stopPropagation();
}

function all() {
  for (const cell of cells) cell.show();
}

const cells = [];
for (const box of document.querySelectorAll(".cell")) {
  cells.push(new Cell(box, cells.length + 1, [...cells]));
}
