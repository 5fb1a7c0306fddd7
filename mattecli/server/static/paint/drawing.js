/** Strokes under the pen: those of the brush, and those that follow an edge. */
import { begun, followed } from "./edge.js";

/**
 * @typedef {import("./stroke.js").Shape} Shape
 * @typedef {import("./raster.js").BrushPoint} BrushPoint
 * @typedef {import("./edge.js").Trail} Trail
 * @typedef {import("../photo.js").OpenPhoto} OpenPhoto
 * @typedef {import("./gestures.js").Gesture} Gesture
 */

const BAND = 0.5; // the radius of the unknown band along an edge, as a share of the brush's

/** The most points of a stroke or an outline, half of what the server takes at once. A mouse of 8 kHz makes them in 6 s. */
export const MOST_POINTS = 50_000;

export class Drawing {
  /** @param {Pick<import("./tools.js").Tools, "viewer" | "store">} tools */
  constructor({ viewer, store }) {
    this.viewer = viewer;
    this.store = store;
    /** @type {BrushPoint | null} where the last stroke ended */
    this._last = null;
  }

  /** No line goes on from the last stroke. */
  forget() {
    this._last = null;
  }

  /**
   * A stroke of the brush.
   * @param {OpenPhoto} photo
   * @param {Shape} shape without points
   * @param {PointerEvent} event
   * @returns {Gesture}
   */
  stroke(photo, shape, event) {
    photo.scene.live.current = shape;
    if (event.shiftKey && this._last) this._add(photo, shape, this._last);
    this._add(photo, shape, this._brushAt(event));
    const move = (/** @type {PointerEvent} */ at) => {
      for (const one of coalesced(at)) this._add(photo, shape, this._brushAt(one));
    };
    return { ...this._ending(photo, shape), move };
  }

  /**
   * An unknown band along the edge that the cursor follows.
   * @param {OpenPhoto} photo
   * @param {Shape} shape without points
   * @param {PointerEvent} event
   * @returns {Gesture}
   */
  edge(photo, shape, event) {
    shape.label = 128;
    photo.scene.live.current = shape;
    const radius = BAND * (this.store.now.size / 2);
    let trail = this._trailAt(photo, event);
    this._add(photo, shape, [...trail.at, radius]);
    const move = (/** @type {PointerEvent} */ at) => {
      for (const one of coalesced(at)) {
        const { trail: next, points } = followed(trail, this.viewer.pointOf(one), this._search(photo));
        trail = next;
        for (const point of points) this._add(photo, shape, [...point, radius]);
      }
    };
    return { ...this._ending(photo, shape), move };
  }

  /**
   * Where the edge brush would begin, and how wide its band would be, in pixels of the picture.
   * @param {OpenPhoto} photo
   * @param {PointerEvent} event
   * @returns {BrushPoint}
   */
  edgeAt(photo, event) {
    const { live } = photo.scene;
    const drawn = live.current?.points.at(-1);
    return drawn ?? [...this._trailAt(photo, event).at, BAND * (this.store.now.size / 2)];
  }

  /**
   * @param {OpenPhoto} photo
   * @param {PointerEvent} event
   * @returns {Trail}
   */
  _trailAt(photo, event) {
    return begun(this.viewer.pointOf(event), this._search(photo));
  }

  /** @param {OpenPhoto} photo */
  _search(photo) {
    const { level } = this.viewer.range;
    return { colours: photo.scene.colours(level), radius: this.store.now.size / 2, pixel: 2 ** level };
  }

  /**
   * @param {OpenPhoto} photo
   * @param {Shape} shape
   */
  _ending(photo, shape) {
    const { live } = photo.scene;
    return {
      end: () => {
        this._last = shape.points[shape.points.length - 1];
        photo.paint(shape);
        live.current = null;
      },
      cancel: () => {
        live.current = null;
        this.viewer.invalidate();
      },
    };
  }

  /**
   * @param {OpenPhoto} photo
   * @param {Shape} shape
   * @param {BrushPoint} point
   */
  _add(photo, shape, point) {
    const last = shape.points.at(-1);
    if (last && last.every((value, i) => value === point[i])) return;
    if (last && shape.points.length >= MOST_POINTS) {
      photo.paint({ ...shape });
      shape.points = [last]; // the stroke goes on as another one
    }
    shape.points.push(point);
    photo.scene.extend(this.viewer.views);
    this.viewer.invalidate();
  }

  /**
   * Colours like the one under the pen, where paint keeps to those and the photo's colour is known.
   * @param {OpenPhoto} photo
   * @param {PointerEvent} event
   * @returns {import("./stroke.js").ColourRange | null}
   */
  coloursAt(photo, event) {
    const { likeness } = this.store.now;
    const colour = photo.scene.colours(this.viewer.range.level)(...this.viewer.pointOf(event));
    if (likeness === null || !colour) return null;
    return [[...colour].map((value) => Math.max(value - likeness, 0)), [...colour].map((value) => Math.min(value + likeness, 255))];
  }

  /** @param {PointerEvent} event @returns {BrushPoint} */
  _brushAt(event) {
    const { size, pressure } = this.store.now;
    const share = pressure && event.pointerType === "pen" ? event.pressure : 1;
    const [x, y] = this.viewer.pointOf(event);
    return [x, y, (size / 2) * share];
  }
}

/**
 * The events that the browser put together into one, in their order.
 * @param {PointerEvent} event
 */
export function coalesced(event) {
  const events = event.getCoalescedEvents?.() ?? [];
  return events.length ? events : [event];
}
