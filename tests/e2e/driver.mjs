// Drives headless Chromium for the Python tests: JSON requests on stdin, one JSON answer per line on stdout.
//
//   {"id": 1, "do": "open", "url": "...", "options": {...}}      -> {"id": 1, "result": PAGE}
//   {"id": 2, "do": "call", "page": PAGE, "method": "click", "args": [...]}   any method of playwright's Page
//   {"id": 3, "do": "logs", "page": PAGE}                         console lines and page errors so far
//   {"id": 4, "do": "requests", "page": PAGE}                     every address the page has asked for
//
// Requests run side by side; answers come in the order they finish. Ends when stdin closes.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: process.argv[2],
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=device-count=2,fps=20",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
  ],
});
const pages = new Map();

async function open({ url, options = {} }) {
  const context = await browser.newContext({ permissions: ["camera", "microphone"], ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const entry = { page, logs: [], requests: [] };
  page.on("console", (message) => entry.logs.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => entry.logs.push(`pageerror: ${error.stack ?? error}`));
  page.on("request", (request) => entry.requests.push(request.url()));
  page.on("websocket", (socket) => entry.requests.push(socket.url()));
  const id = pages.size + 1;
  pages.set(id, entry);
  await page.goto(url);
  return id;
}

const actions = {
  open,
  async call({ page, method, args = [] }) {
    const result = await pages.get(page).page[method](...args);
    return ["evaluate", "textContent", "getAttribute", "isVisible", "inputValue", "title", "content"].includes(method)
      ? result
      : null;
  },
  async logs({ page }) {
    return pages.get(page).logs;
  },
  async requests({ page }) {
    return pages.get(page).requests;
  },
  async close({ page }) {
    await pages.get(page).page.context().close();
    return null;
  },
};

async function answer(line) {
  const request = JSON.parse(line);
  let reply;
  try {
    reply = { id: request.id, result: (await actions[request.do](request)) ?? null };
  } catch (error) {
    reply = { id: request.id, error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

process.stdout.write(`${JSON.stringify({ ready: browser.version() })}\n`);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => void answer(line));
lines.on("close", () => void browser.close().finally(() => process.exit(0)));
