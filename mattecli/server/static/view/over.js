/** What lies over the picture now: the wipe's line, the box, a finding, an outline, the brush. */
import * as marks from "./marks.js";
import { drawnBox, toView } from "./transform.js";

/**
 * @typedef {{corners: [number, number][], pointer: [number, number] | null, edge: import("../paint/raster.js").BrushPoint | null,
 *   sizing: boolean, moving: boolean}} Hand
 *   corners of an outline, in pixels of the picture; the pointer, in device pixels; the edge that the brush follows, if it
 *   does; whether the brush is being sized; whether the picture is being moved
 */

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Readonly<import("../state.js").Fields>} now
 * @param {import("./viewer.js").Viewer} viewer
 * @param {Hand} hand
 */
export function drawOver(context, now, { transform, ratio, picture, size: view }, { corners, pointer, edge, sizing, moving }) {
  const { tool, size, box, wipe, wipeAt, findings, finding } = now;
  if (wipe) marks.drawWipe(context, Math.round(wipeAt * view.width), ratio);
  if (box && tool === "box") {
    const [left, top, right, bottom] = box;
    const whole = drawnBox(transform, { left: 0, top: 0, right: picture.width, bottom: picture.height });
    marks.drawBox(context, drawnBox(transform, { left, top, right, bottom }), whole, ratio);
  }
  const place = findings?.[finding];
  if (place) {
    const [left, top, right, bottom] = place.box;
    marks.drawFinding(context, drawnBox(transform, { left, top, right, bottom }), `${finding + 1}: ${place.text}`, ratio);
  }
  if (!pointer) return;
  const outline = corners.map(([x, y]) => toView(transform, x, y));
  if (outline.length) marks.drawOutline(context, [...outline, pointer], tool === "lasso", ratio);
  if ((tool !== "brush" && tool !== "edge") || moving) return;
  if (edge) marks.drawEdge(context, toView(transform, edge[0], edge[1]), edge[2] * transform.scale, ratio);
  marks.drawBrush(context, pointer, (size / 2) * transform.scale, sizing ? `${size} px` : "", ratio);
}
