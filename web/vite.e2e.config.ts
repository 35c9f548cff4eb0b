// The page that the end-to-end tests drive: web/e2e -> web/dist-e2e. Not part of the product.
import { defineConfig } from "vite";

export default defineConfig({
  root: "e2e",
  base: "./",
  build: { target: "es2022", outDir: "../dist-e2e", emptyOutDir: true, chunkSizeWarningLimit: 1200 },
});
