// The meeting page: web/dist/index.html (served at /meet) and web/dist/assets. The server adds the content policy.
import { defineConfig } from "vite";

const server = "http://127.0.0.1:7880";

export default defineConfig({
  base: "/",
  build: { target: "es2022", chunkSizeWarningLimit: 1200, modulePreload: { polyfill: false } },
  // `npm run dev` beside `make run`: open http://127.0.0.1:5173/?room=R&token=T
  server: { proxy: { "/rtc": { target: server, ws: true } } },
});
