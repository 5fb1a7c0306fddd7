/** The matte's part of a tile: its alpha, or that with finished edges, and the foreground's colours. */
import { alphaOfLabels, aroundPreview } from "./compose.js";

/**
 * @typedef {import("./tiles.js").Place} Place
 * @typedef {{matte: import("../api.js").Matte, isFinished: boolean, finishes: number,
 *   kind: import("./compose.js").Kind}} Shown
 *   isFinished: whether edges or colours are finished; finishes: another number for each way to do it
 */

/**
 * Adds alpha and colours to the layers of a tile, as far as they are there. A preview's are only known in its box.
 * @param {import("./compose.js").Layers} layers photo and labels of the tile
 * @param {import("./tiles.js").TileCache} cache
 * @param {Place} place
 * @param {Shown} shown
 * @returns {string} a stamp of what was added
 */
export function addMatte(layers, cache, place, { matte, isFinished, finishes, kind }) {
  const finished = isFinished ? cache.get("finished", place) : undefined;
  const alpha = finished ?? cache.get("alpha", place);
  if (!alpha) return "";
  const colours = kind === "cutout" ? cache.get("colours", place) : undefined;
  const exact = cache.get("exact", place);
  layers.finished = finished !== undefined;
  layers.alpha = alpha.data;
  layers.colours = colours?.data;
  const box = matte.kind === "preview" ? matte.box : null;
  if (box) {
    const inside = insideOf(box, place);
    layers.alpha = aroundPreview(alpha.data, inside, exact?.data ?? alphaOfLabels(layers), layers);
    if (colours) layers.colours = aroundPreview(colours.data, inside, layers.photo, layers);
  }
  const finish = finished || colours ? finishes : "";
  return `${alpha.revision}~${finish}~${layers.finished}~${colours?.revision}~${box ? exact?.revision : ""}`;
}

/**
 * The part of a tile that surely lies in a box of the picture.
 * @param {import("../api.js").BoxList} box
 * @param {Place} place
 */
function insideOf(box, { level, row, column }) {
  const [left, top, right, bottom] = box.map((side, i) => side / 2 ** level - 256 * (i % 2 ? row : column));
  return { left: Math.ceil(left), top: Math.ceil(top), right: Math.floor(right), bottom: Math.floor(bottom) };
}
