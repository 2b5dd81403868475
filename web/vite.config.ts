import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const browsers = ["chrome123", "edge123", "firefox121", "safari17.5"];

const LICENSES = "licenses.txt";

/** The SDK's package has no licence file; its sources name the holder and the licence. */
const namesTheSdk: Plugin = {
  name: "names-the-sdk",
  async writeBundle(options) {
    const file = join(options.dir ?? "dist", LICENSES);
    const text = await readFile(file, "utf8");
    const title = /(## @pipecat-ai\/client-js - .*\n)/;
    if (!title.test(text)) throw new Error(`${LICENSES} does not name @pipecat-ai/client-js`);
    const holder = "Copyright (c) 2024-2026, Daily. The terms are those of the next entry.";
    await writeFile(file, text.replace(title, `$1\n${holder}\n`));
  },
};

export default defineConfig({
  plugins: [namesTheSdk],
  // Relative addresses: the page also works behind a proxy that serves it under a path.
  base: "./",
  resolve: {
    alias: {
      // The transport imports daily-js for a media manager that we replace. Left in, it would be
      // two thirds of the bundle and would load more code from its maker's servers at run time.
      "@daily-co/daily-js": fileURLToPath(new URL("src/call/no-daily.ts", import.meta.url)),
    },
  },
  build: {
    rolldownOptions: { input: { index: "index.html", traces: "traces/index.html" } },
    target: browsers,
    cssTarget: browsers,
    modulePreload: false,
    assetsInlineLimit: 0,
    license: { fileName: LICENSES },
  },
  server: { proxy: { "/api": "http://localhost:7860" } },
  test: { include: ["test/**/*.test.ts"], server: { deps: { inline: [/@pipecat-ai/] } } },
});
