/**
 * Pointers that move the picture: wheel, drag, pinch.
 *
 * @typedef {import("../view/viewer.js").Viewer} Viewer
 * @typedef {{move: (event: PointerEvent) => void, end?: (event: PointerEvent) => void, cancel?: () => void}} Gesture
 */
import { moved, scaled } from "../view/transform.js";

/** Pixels of a line and of a page, where a wheel counts in those. */
const LINE = 33;
const PAGE = 400;

/**
 * Zooms to the cursor. Browsers send the pinch of a touch pad as a wheel with Ctrl.
 * @param {Viewer} viewer
 * @param {WheelEvent} event
 */
export function wheel(viewer, event) {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === 1 ? LINE : event.deltaMode === 2 ? PAGE : 1);
  const factor = Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0016));
  viewer.zoom(viewer.transform.scale * factor, viewer.positionOf(event));
}

/**
 * @param {Viewer} viewer
 * @param {PointerEvent} event
 * @returns {Gesture}
 */
export function panning(viewer, event) {
  const start = viewer.transform;
  const [x, y] = viewer.positionOf(event);
  return {
    move: (at) => {
      const [toX, toY] = viewer.positionOf(at);
      viewer.move(moved(start, toX - x, toY - y));
    },
  };
}

/**
 * @param {Viewer} viewer
 * @param {Map<number, PointerEvent>} touches two of them, kept up to date
 * @returns {Gesture}
 */
export function pinching(viewer, touches) {
  const start = viewer.transform;
  const now = () => {
    const [a, b] = [...touches.values()].map((event) => viewer.positionOf(event));
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.hypot(a[0] - b[0], a[1] - b[1]) };
  };
  const before = now();
  const move = () => {
    if (touches.size < 2) return;
    const { x, y, apart } = now();
    const larger = scaled(start, (start.scale * apart) / before.apart, before.x, before.y);
    viewer.move(moved(larger, x - before.x, y - before.y));
  };
  return { move };
}

/**
 * A press that does something once it is let go: until then a pen or a second finger shows that it was only a palm.
 * @param {() => void} end
 * @returns {Gesture}
 */
export function pressed(end) {
  return { move: () => {}, end };
}

/**
 * Another size of the brush, by dragging.
 * @param {import("./tools.js").Tools} tools
 * @param {PointerEvent} event
 * @returns {Gesture}
 */
export function sizing(tools, event) {
  const { viewer } = tools;
  const { size } = tools.store.now;
  tools.isSizing = true;
  const end = () => {
    tools.isSizing = false;
    viewer.invalidateMarks();
  };
  const move = (/** @type {PointerEvent} */ at) => {
    const wide = ((at.clientX - event.clientX) * viewer.ratio) / viewer.transform.scale;
    tools.setSize(Math.round(size + 2 * wide));
  };
  return { move, end, cancel: end };
}
