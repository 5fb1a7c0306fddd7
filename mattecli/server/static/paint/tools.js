/**
 * Pointers on the canvas: what they do with each tool.
 */
import { lightOf } from "../state.js";
import { toView } from "../view/transform.js";
import { drawOver } from "../view/over.js";
import { panning, pinching, pressed, sizing, wheel } from "./gestures.js";
import { boxing } from "./box.js";
import { Drawing, MOST_POINTS, coalesced } from "./drawing.js";

/**
 * @typedef {import("./stroke.js").Shape} Shape
 * @typedef {import("../photo.js").OpenPhoto} OpenPhoto
 * @typedef {import("../view/viewer.js").Viewer} Viewer
 * @typedef {import("../state.js").Store<import("../state.js").Fields>} PageStore
 * @typedef {import("./gestures.js").Gesture} Gesture
 */

export const SMALLEST = 1;
export const LARGEST = 2000;

/** Why tools that read the photo's colours need it as it is. */
const EXPOSED = {
  edge: "The edge brush follows the photo as it is.",
  pick: "The screen's colour is that of the photo as it is.",
  brush: "Similar colours are those of the photo as it is.",
  fill: "Similar colours are those of the photo as it is.",
};

/** The tools whose paint can keep to colours like the one where it begins. */
export const KEEPS_COLOURS = new Set(["brush", "fill"]);

export class Tools {
  /**
   * @param {{viewer: Viewer, store: PageStore, photo: () => OpenPhoto | null, pick: (colour: number[]) => void,
   *   held?: (isDown: boolean) => void}} parts held: hears when a pointer begins and ends to work
   */
  constructor({ viewer, store, photo, pick, held = () => {} }) {
    this.viewer = viewer;
    this.store = store;
    this._photo = photo;
    this._pick = pick;
    this._held = held;
    /** @type {Gesture | null} */
    this._now = null;
    /** The pointer of the gesture, unless fingers make it. */
    this._by = 0;
    /** @type {Map<number, PointerEvent>} fingers at work */
    this._touches = new Map();
    /** @type {[number, number][]} corners of a polygon, in pixels of the picture */
    this._corners = [];
    /** Whether the last of them was made with the eraser's end of a pen. */
    this._penErases = false;
    this._drawing = new Drawing(this);
    /** @type {PointerEvent | null} */
    this._pointer = null;
    /** Whether the brush gets another size. */
    this.isSizing = false;
    /** Whether a key that moves the picture is held. */
    this.panning = false;
    this._listen(viewer.canvas);
  }

  /** @param {HTMLCanvasElement} canvas */
  _listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerup", (event) => this._up(event));
    canvas.addEventListener("pointercancel", (event) => this._cancelled(event));
    canvas.addEventListener("pointerleave", (event) => this._isOurs(event) && this._hover(null));
    canvas.addEventListener("dblclick", () => this.finish());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => wheel(this.viewer, event), { passive: false });
    this.store.watch(["tool", "size", "box", "finding"], () => this.viewer.invalidateMarks());
  }

  /** Closes a polygon. Says whether there was one. */
  finish() {
    const corners = this._corners;
    this._corners = [];
    this.viewer.invalidateMarks();
    if (corners.length > 2) this._photo()?.paint(this._outline(corners));
    return corners.length > 0;
  }

  /** Leaves what is going on. Says whether there was something. */
  cancel() {
    const busy = this._gesture !== null || this._corners.length > 0;
    this._gesture?.cancel?.();
    this._gesture = null;
    this._corners = [];
    this.viewer.invalidateMarks();
    return busy;
  }

  /** What the pointer at work does. */
  get _gesture() {
    return this._now;
  }

  set _gesture(gesture) {
    if ((gesture !== null) !== this.busy) this._held(gesture !== null);
    this._now = gesture;
  }

  /** Whether a pointer is at work. */
  get busy() {
    return this._now !== null;
  }

  /** Another photo is opened: nothing of this one goes on there. Says whether an outline was cut short. */
  forget() {
    const isCut = this.cancel();
    this._drawing.forget();
    return isCut;
  }

  /** @param {1 | -1} direction another size of the brush */
  resize(direction) {
    const { size } = this.store.now;
    this.setSize(size + direction * Math.max(1, Math.round(size * 0.15)));
  }

  /** @param {number} size of the brush, as near as it can be */
  setSize(size) {
    this.store.set({ size: Math.min(Math.max(size, SMALLEST), LARGEST) });
  }

  /**
   * Whether a pointer belongs to what is going on: a palm beside the pen does not.
   * @param {PointerEvent} event
   */
  _isOurs({ pointerId }) {
    return this._gesture === null || pointerId === this._by || this._touches.has(pointerId);
  }

  /** @param {PointerEvent} event */
  _down(event) {
    if (event.pointerType === "pen" && this._touches.size) {
      this._gesture?.cancel?.(); // the palm came before the pen
      this._gesture = null;
      this._touches.clear();
    }
    const isFinger = event.pointerType === "touch" && this._touches.size > 0;
    if (!this._isOurs(event) && !isFinger) return;
    const canvas = this.viewer.canvas;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    this._hover(event);
    if (event.pointerType === "touch") {
      this._touches.set(event.pointerId, event);
      if (this._touches.size === 2) {
        this._gesture?.cancel?.();
        this._gesture = pinching(this.viewer, this._touches);
        return;
      }
    }
    const photo = this._photo();
    if (!photo || this._gesture) return;
    this._by = event.pointerId;
    this._gesture = this._begin(photo, event);
  }

  /**
   * @param {OpenPhoto} photo
   * @param {PointerEvent} event
   * @returns {Gesture | null}
   */
  _begin(photo, event) {
    const { tool } = this.store.now;
    if (event.button === 1 || this.panning || tool === "hand") return panning(this.viewer, event);
    if (event.button === 2) return sizing(this, event);
    if (event.button !== 0 && event.button !== 5) return null;
    if (this.store.now.photo?.readonly) return photo.refuse(), null;
    if (this.store.now.view === "photo" && tool !== "box" && tool !== "pick") this.store.set({ view: "labels" });
    const penErases = (event.buttons & 32) !== 0;
    const erasing = this.store.now.eraser || penErases;
    const keeps = this.store.now.likeness !== null && (tool === "brush" || tool === "fill");
    const reads = keeps || tool === "edge" || tool === "pick";
    if (reads && lightOf(this.store.now).exposure !== 0) return photo.say(`Set the exposure to 0 first. ${EXPOSED[tool]}`), null;
    const colours = keeps ? this._drawing.coloursAt(photo, event) : null;
    if (keeps && !colours) return photo.say("Begin where the photo is shown, so that its colour there is known."), null;
    if (tool === "brush") return this._drawing.stroke(photo, { ...this._shape(erasing, false), colours }, event);
    if (tool === "edge") return this._drawing.edge(photo, this._shape(false, false), event);
    if (tool === "box") return boxing(this, event);
    if (tool === "fill") return pressed(() => this._fill(photo, event, { ...this._shape(erasing, true), colours }));
    if (tool === "pick") return pressed(() => this._pickAt(event));
    this._penErases = penErases;
    return tool === "lasso" ? this._lasso(event) : pressed(() => this._corner(event));
  }

  /** @param {PointerEvent} event */
  _move(event) {
    if (!this._isOurs(event)) return;
    this._hover(event);
    if (this._touches.has(event.pointerId)) this._touches.set(event.pointerId, event);
    this._gesture?.move(event);
  }

  /** @param {PointerEvent} event */
  _up(event) {
    const isOurs = this._isOurs(event);
    this._touches.delete(event.pointerId);
    if (this._gesture && isOurs && event.buttons === 0) {
      const gesture = this._gesture;
      this._gesture = null;
      gesture.end?.(event);
    }
  }

  /** @param {PointerEvent} event */
  _cancelled(event) {
    if (!this._isOurs(event)) return;
    this._touches.delete(event.pointerId);
    this._gesture?.cancel?.();
    this._gesture = null;
  }

  /** @param {PointerEvent | null} event */
  _hover(event) {
    this._pointer = event;
    this.viewer.invalidateMarks();
  }

  /** @param {PointerEvent} event @returns {Gesture} */
  _lasso(event) {
    this._corners = [this.viewer.pointOf(event)];
    return {
      move: (at) => {
        for (const one of coalesced(at)) this._corners.push(this.viewer.pointOf(one));
        if (this._corners.length >= MOST_POINTS) this._corners = this._corners.filter((_, i) => i % 2 === 0);
      },
      end: () => this.finish(),
      cancel: () => (this._corners = []),
    };
  }

  /** @param {PointerEvent} event */
  _corner(event) {
    const [x, y] = this.viewer.positionOf(event);
    const first = this._corners.length > 2 && toView(this.viewer.transform, ...this._corners[0]);
    if (first && Math.hypot(first[0] - x, first[1] - y) < 8 * this.viewer.ratio) this.finish();
    else this._corners.push(this.viewer.pointOf(event));
    this.viewer.invalidateMarks();
  }

  /**
   * @param {OpenPhoto} photo
   * @param {PointerEvent} event
   * @param {Shape} shape label and restriction
   */
  _fill(photo, event, shape) {
    const [x, y] = this.viewer.pointOf(event).map(Math.floor);
    const { width, height } = this.viewer.picture;
    if (x >= 0 && y >= 0 && x < width && y < height) photo.fill(x, y, shape);
  }

  /** @param {PointerEvent} event */
  _pickAt(event) {
    const [x, y] = this.viewer.pointOf(event);
    const colour = this._photo()?.scene.colours(this.viewer.range.level)(x, y);
    if (colour) this._pick([...colour]);
  }

  /**
   * @param {boolean} erasing
   * @param {boolean} closed
   * @returns {Shape}
   */
  _shape(erasing, closed) {
    const { label, over } = this.store.now;
    return { points: [], closed, label: erasing ? (label === 0 ? 255 : 0) : label, over };
  }

  /** @param {[number, number][]} corners @returns {Shape} */
  _outline(corners) {
    const erasing = this.store.now.eraser || this._penErases;
    return { ...this._shape(erasing, true), points: corners.map(([x, y]) => [x, y, 0]) };
  }

  /**
   * Draws what lies over the picture.
   * @param {CanvasRenderingContext2D} context
   */
  mark(context) {
    const [photo, event] = [this._photo(), this._pointer];
    const pointer = event && this.viewer.positionOf(event);
    const edge = photo && event && this.store.now.tool === "edge" ? this._drawing.edgeAt(photo, event) : null;
    drawOver(context, this.store.now, this.viewer, {
      corners: this._corners, pointer, edge, sizing: this.isSizing, moving: this.panning,
    });
  }
}
