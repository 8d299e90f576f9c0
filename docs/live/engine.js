// Asks Python for one thing after the other. It is loaded when it is first asked.

export class Engine {
  #name;
  #late;
  #worker = null;
  #asked = new Map(); // what waits for its answer, by number
  #last = Promise.resolve();
  #count = 0;

  // `name`: the Python module whose `answer` is called. `late` is called with what it shows after
  // it has answered.
  constructor(name, late = () => {}) {
    this.#name = name;
    this.#late = late;
  }

  get running() {
    return this.#worker !== null;
  }

  // What `answer(...request, show)` returns; `show` is called here, each time it is there.
  ask(request, show) {
    const answer = this.#last.then(() => this.#ask(request, show));
    this.#last = answer.catch(() => {});
    return answer;
  }

  #ask(request, show) {
    this.#worker ??= this.#start();
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject, show });
      this.#worker.postMessage({ id, request });
    });
  }

  #start() {
    const address = new URL("worker.js", import.meta.url);
    const worker = new Worker(address, { type: "module", name: this.#name });
    worker.onmessage = ({ data: { id, kind, text } }) => {
      const { resolve, reject, show } = this.#asked.get(id) ?? { show: this.#late };
      if (kind === "done") resolve(text);
      else if (kind === "broken") reject(new Error(text));
      else show(kind, text);
      if (kind === "done" || kind === "broken") this.#asked.delete(id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.stop(`Python cannot be loaded: ${event.message ?? "a file of this site is missing"}`);
    };
    return worker;
  }

  // End Python with all that it holds; what is asked next, is asked of a fresh one.
  stop(reason = "stopped") {
    this.#worker?.terminate();
    this.#worker = null;
    for (const { reject } of this.#asked.values()) reject(new Error(reason));
    this.#asked.clear();
  }
}
