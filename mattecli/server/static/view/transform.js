/**
 * Where the picture lies on the canvas. Everything is in device pixels, so 1:1 is one image pixel on one device pixel at
 * every ratio of the screen.
 *
 * `left` and `top` are whole numbers. So at a scale of 1 each image pixel is exactly one device pixel, and what a pointer
 * hits is exactly what is drawn there.
 *
 * @typedef {{scale: number, left: number, top: number}} Transform scale: device pixels for each image pixel
 * @typedef {{width: number, height: number}} Size
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box
 */

export const MOST = 32;
/** From this scale on a grid shows the pixels. */
export const GRID = 8;
/** So many device pixels of the picture always stay in view. */
const KEPT = 48;

/**
 * The whole picture in the middle, with a margin. Small pictures are not enlarged.
 * @param {Size} picture
 * @param {Size} view
 * @param {number} [margin]
 * @returns {Transform}
 */
export function fitted(picture, view, margin = 24) {
  const room = { width: Math.max(view.width - 2 * margin, 1), height: Math.max(view.height - 2 * margin, 1) };
  const scale = Math.min(room.width / picture.width, room.height / picture.height, 1);
  return centred(scale, picture.width / 2, picture.height / 2, view);
}

/**
 * The least scale that can be chosen: an eighth of what fits.
 * @param {Size} picture
 * @param {Size} view
 */
export function least(picture, view) {
  return Math.min(fitted(picture, view).scale / 8, 0.125);
}

/**
 * The point (x, y) of the picture in the middle of the view.
 * @param {number} scale
 * @param {number} x
 * @param {number} y
 * @param {Size} view
 * @returns {Transform}
 */
export function centred(scale, x, y, view) {
  return { scale, left: Math.round(view.width / 2 - x * scale), top: Math.round(view.height / 2 - y * scale) };
}

/**
 * Another scale; the point of the picture at (x, y) of the view stays there, to half a device pixel.
 * @param {Transform} now
 * @param {number} scale
 * @param {number} x
 * @param {number} y
 * @returns {Transform}
 */
export function scaled(now, scale, x, y) {
  const ratio = scale / now.scale;
  return { scale, left: Math.round(x - (x - now.left) * ratio), top: Math.round(y - (y - now.top) * ratio) };
}

/**
 * @param {Transform} now
 * @param {number} dx
 * @param {number} dy
 * @returns {Transform}
 */
export function moved(now, dx, dy) {
  return { scale: now.scale, left: Math.round(now.left + dx), top: Math.round(now.top + dy) };
}

/**
 * The transform with its scale in bounds and a part of the picture in view.
 * @param {Transform} now
 * @param {Size} picture
 * @param {Size} view
 * @returns {Transform}
 */
export function bounded(now, picture, view) {
  const scale = Math.min(Math.max(now.scale, least(picture, view)), MOST);
  const { left, top } = scale === now.scale ? now : scaled(now, scale, view.width / 2, view.height / 2);
  return {
    scale,
    left: Math.round(Math.min(Math.max(left, KEPT - picture.width * scale), view.width - KEPT)),
    top: Math.round(Math.min(Math.max(top, KEPT - picture.height * scale), view.height - KEPT)),
  };
}

/**
 * The scale one step up or down: powers of two, so that 1 is among them.
 * @param {number} scale
 * @param {1 | -1} direction
 */
export function stepped(scale, direction) {
  const power = Math.log2(scale);
  return 2 ** (direction > 0 ? Math.floor(power + 1.001) : Math.ceil(power - 1.001));
}

/**
 * @param {Transform} now
 * @param {number} x
 * @param {number} y
 * @returns {[x: number, y: number]} the point of the picture; (0.5, 0.5) is the middle of the first pixel
 */
export function toPicture(now, x, y) {
  return [(x - now.left) / now.scale, (y - now.top) / now.scale];
}

/**
 * @param {Transform} now
 * @param {number} x
 * @param {number} y
 * @returns {[x: number, y: number]}
 */
export function toView(now, x, y) {
  return [now.left + x * now.scale, now.top + y * now.scale];
}

/**
 * The level that is drawn: the coarsest whose pixels are not enlarged.
 * @param {number} scale
 * @param {number} levels
 */
export function levelFor(scale, levels) {
  return Math.min(Math.max(Math.floor(-Math.log2(scale) + 1e-9), 0), levels - 1);
}

/**
 * Where a box of the picture is drawn. Neighbouring boxes share their border, so there are no seams.
 * @param {Transform} now
 * @param {Box} box in pixels of the picture
 * @returns {Box} whole device pixels
 */
export function drawnBox(now, box) {
  return {
    left: Math.round(now.left + box.left * now.scale),
    top: Math.round(now.top + box.top * now.scale),
    right: Math.round(now.left + box.right * now.scale),
    bottom: Math.round(now.top + box.bottom * now.scale),
  };
}

/**
 * The part of the picture in view.
 * @param {Transform} now
 * @param {Size} picture
 * @param {Size} view
 * @returns {Box} whole pixels of the picture
 */
export function visibleBox(now, picture, view) {
  const [left, top] = toPicture(now, 0, 0);
  const [right, bottom] = toPicture(now, view.width, view.height);
  return {
    left: Math.min(Math.max(Math.floor(left), 0), picture.width),
    top: Math.min(Math.max(Math.floor(top), 0), picture.height),
    right: Math.min(Math.max(Math.ceil(right), 0), picture.width),
    bottom: Math.min(Math.max(Math.ceil(bottom), 0), picture.height),
  };
}
