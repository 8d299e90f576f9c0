// Run pytest in Pyodide, the Python of the site's live cells, under Node.
//
// node --experimental-wasm-jspi tests/pyodide/run.mjs PACKAGES [PYTEST'S ARGUMENTS]
//
// PACKAGES is a folder with pytest and hypothesis for Pyodide. The tests call asyncio.run, which
// needs JavaScript's promise integration (JSPI): Chromium has it, Node behind this flag.

import { resolve } from "node:path";
import { loadPyodide } from "../../npm/node_modules/pyodide/pyodide.mjs";

const [packages, ...ARGUMENTS] = process.argv.slice(2);
const python = await loadPyodide({ env: { HOME: "/home/pyodide", PYTEST_DISABLE_PLUGIN_AUTOLOAD: "1" } });
for (const [there, here] of [["/repo", resolve(import.meta.dirname, "../..")], ["/packages", packages]]) {
  python.FS.mkdirTree(there);
  python.mountNodeFS(there, here);
}
const locals = python.toPy({ ARGUMENTS });
const code = await python.runPythonAsync(
  `
import os, sys
os.chdir("/repo")
sys.path[:0] = ["/repo", "/packages"]
sys.pycache_prefix = "/packages/pycache"
import pytest
int(pytest.main(ARGUMENTS))
`,
  { locals },
);
process.exit(code); // timers of tests that gave up waiting would keep it alive
