/** The worker that composes tiles, as a function. */

/**
 * @typedef {import("./compose.js").Layers} Layers
 * @typedef {import("./compose.js").View} View
 */

/** @returns {(layers: Layers, view: View) => Promise<Uint8ClampedArray<ArrayBuffer>>} */
export function composer() {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  /** @type {Map<number, (pixels: Uint8ClampedArray<ArrayBuffer>) => void>} */
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data: { number, pixels } }) => {
    waiting.get(number)?.(pixels);
    waiting.delete(number);
  };
  return (layers, view) =>
    new Promise((done) => {
      waiting.set(++last, done);
      worker.postMessage({ number: last, layers, view });
    });
}
