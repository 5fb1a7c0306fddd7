/** The worker that composes tiles, so that pan, zoom and strokes never wait for it. */
import { composed } from "./compose.js";

/** @typedef {{number: number, layers: import("./compose.js").Layers, view: import("./compose.js").View}} Job */

const port = /** @type {{postMessage: (message: object, transfer: Transferable[]) => void}} */ (
  /** @type {unknown} */ (globalThis)
);

addEventListener("message", (/** @type {MessageEvent<Job>} */ { data: { number, layers, view } }) => {
  const pixels = composed(layers, view);
  port.postMessage({ number, pixels }, [pixels.buffer]);
});
