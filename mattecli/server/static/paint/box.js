/**
 * The box around the subject, while it is dragged.
 *
 * @typedef {import("./gestures.js").Gesture} Gesture
 * @typedef {[left: number, top: number, right: number, bottom: number]} Box pixels of the picture
 * @typedef {[x: number, y: number]} Point
 * @typedef {{x: 0 | 2 | null, y: 1 | 3 | null}} Grip the sides that are held, by their place in the box
 */

/**
 * @param {Pick<import("./tools.js").Tools, "viewer" | "store">} tools
 * @param {PointerEvent} event
 * @returns {Gesture}
 */
export function boxing({ viewer, store }, event) {
  const start = viewer.pointOf(event);
  const near = (8 * viewer.ratio) / viewer.transform.scale;
  const { box } = store.now;
  const held = box ? grip(box, start, near) : null;
  const move = (/** @type {PointerEvent} */ at) =>
    store.set({ box: dragged(held ? box : null, held, start, viewer.pointOf(at), viewer.picture) });
  const cancel = () => store.set({ box });
  return { move, end: (at) => (move(at), store.now.box === null && cancel()), cancel };
}

/**
 * Which sides or corner of a box a point holds, or null.
 * @param {Box} box
 * @param {Point} at
 * @param {number} near
 * @returns {Grip | null}
 */
export function grip(box, [x, y], near) {
  const [left, top, right, bottom] = box;
  if (x < left - near || x > right + near || y < top - near || y > bottom + near) return null;
  const side = Math.abs(x - left) <= near ? 0 : Math.abs(x - right) <= near ? 2 : null;
  const end = Math.abs(y - top) <= near ? 1 : Math.abs(y - bottom) <= near ? 3 : null;
  return side === null && end === null ? null : { x: side, y: end };
}

/**
 * The box after a drag: a new one, or the old one with other sides. Null where it has no pixels.
 * @param {Box | null} box the old one, where a side is held
 * @param {Grip | null} held
 * @param {Point} from
 * @param {Point} to
 * @param {{width: number, height: number}} picture
 * @returns {Box | null}
 */
export function dragged(box, held, from, to, picture) {
  const [x0, x1] = box && held ? sides(box[0], box[2], held.x, to[0]) : [from[0], to[0]];
  const [y0, y1] = box && held ? sides(box[1], box[3], held.y, to[1]) : [from[1], to[1]];
  const within = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.min(Math.max(Math.round(value), 0), most);
  /** @type {Box} */
  const result = [
    within(Math.min(x0, x1), picture.width),
    within(Math.min(y0, y1), picture.height),
    within(Math.max(x0, x1), picture.width),
    within(Math.max(y0, y1), picture.height),
  ];
  return result[0] < result[2] && result[1] < result[3] ? result : null;
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number | null} held
 * @param {number} to
 */
function sides(low, high, held, to) {
  if (held === null) return [low, high];
  return held < 2 ? [to, high] : [low, to];
}
