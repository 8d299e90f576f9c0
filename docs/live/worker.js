// Python, away from the page: a cell that never ends does not freeze it. The worker's name says
// which module of docs/live is asked.

import { loadPyodide } from "../npm/pyodide/pyodide.mjs";

async function begin() {
  const [python, sources] = await Promise.all([
    loadPyodide(),
    fetch(new URL("python.zip", import.meta.url)).then((response) => {
      if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
      return response.arrayBuffer();
    }),
  ]);
  python.unpackArchive(sources, "zip");
  return python.pyimport(`docs.live.${self.name}`);
}

const module = begin();

onmessage = async ({ data: { id, request } }) => {
  const show = (kind, text) => postMessage({ id, kind, text });
  try {
    show("done", await (await module).answer(...request, show));
  } catch (error) {
    show("broken", String(error));
  }
};
