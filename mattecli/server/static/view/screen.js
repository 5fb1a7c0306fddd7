/** The screen's own pixels. */

/**
 * Tells the size of a canvas in device pixels: now, and when it or the ratio of the screen changes.
 * @param {HTMLCanvasElement} canvas
 * @param {(width: number, height: number) => void} react
 */
export function watchSize(canvas, react) {
  new ResizeObserver(([entry]) => {
    const said = entry.devicePixelContentBoxSize?.[0];
    const { width, height } = entry.contentRect;
    react(devicePixels(width, said?.inlineSize), devicePixels(height, said?.blockSize));
  }).observe(canvas);
  const watchRatio = () => {
    const media = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    const changed = () => {
      react(devicePixels(canvas.clientWidth), devicePixels(canvas.clientHeight));
      watchRatio();
    };
    media.addEventListener("change", changed, { once: true });
  };
  watchRatio();
}

/**
 * A length in device pixels: what the browser says, unless that is not of this ratio, as in emulations of screens.
 * @param {number} length
 * @param {number} [said]
 */
function devicePixels(length, said) {
  const computed = Math.round(length * devicePixelRatio);
  return said !== undefined && Math.abs(said - computed) <= 1 ? said : computed;
}

/**
 * The checkerboard under cut-outs, with fields of the same size on every screen.
 * @param {CanvasRenderingContext2D} context
 * @returns {CanvasPattern}
 */
export function checkered(context) {
  const side = Math.round(8 * devicePixelRatio);
  const tile = new OffscreenCanvas(2 * side, 2 * side);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, 2 * side, 2 * side);
  pen.fillStyle = "#ccc";
  pen.fillRect(0, 0, side, side);
  pen.fillRect(side, side, side, side);
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
}
