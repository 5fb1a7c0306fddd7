/**
 * The canvas: it draws an open photo, one frame for all that changed since the last one.
 *
 * A second canvas lies over it for the cursor and outlines, so that these cost no frame of the picture.
 */
import * as transforms from "./transform.js";
import { checkered, watchSize } from "./screen.js";
import { boxOf, rangeOf } from "./tiles.js";

/**
 * @typedef {import("./transform.js").Transform} Transform
 * @typedef {import("./transform.js").Size} Size
 * @typedef {import("./scene.js").Scene} Scene
 * @typedef {import("./compose.js").View} View
 * @typedef {import("./tiles.js").Place} Place
 * @typedef {{views: View[], wipe: number, behind: "checker" | string | ImageBitmap}} Look
 *   views: one, or two that the wipe parts at this share of the width; behind: what cut-outs lie on
 */

export class Viewer {
  /**
   * @param {{canvas: HTMLCanvasElement, marks: HTMLCanvasElement, look: () => Look,
   *   mark: (context: CanvasRenderingContext2D) => void, moved: (transform: Transform) => void}} options
   *   mark: draws on the canvas above; moved: told of each other transform
   */
  constructor({ canvas, marks, look, mark, moved }) {
    this.canvas = canvas;
    this._look = look;
    this._mark = mark;
    this._moved = moved;
    this._context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this._marks = /** @type {CanvasRenderingContext2D} */ (marks.getContext("2d"));
    /** @type {Scene | null} */
    this.scene = null;
    /** @type {Size} */
    this.picture = { width: 1, height: 1 };
    /** @type {Transform} */
    this.transform = { scale: 1, left: 0, top: 0 };
    this._isFitted = true;
    this._waiting = false;
    this._marking = false;
    this._checker = checkered(this._context);
    watchSize(canvas, (width, height) => this._resize(width, height));
  }

  /** @returns {Size} device pixels */
  get size() {
    return { width: this.canvas.width, height: this.canvas.height };
  }

  /** Device pixels for each pixel of CSS. */
  get ratio() {
    return devicePixelRatio;
  }

  /**
   * @param {Scene | null} scene
   * @param {Size} picture
   */
  open(scene, picture) {
    this.scene = scene;
    this.picture = picture;
    this.fit();
  }

  fit() {
    this._isFitted = true;
    this._set(transforms.fitted(this.picture, this.size, Math.round(24 * this.ratio)));
  }

  /**
   * @param {number} scale
   * @param {[x: number, y: number]} [at] device pixels; the middle without it
   */
  zoom(scale, at = [this.size.width / 2, this.size.height / 2]) {
    const most = Math.min(Math.max(scale, transforms.least(this.picture, this.size)), transforms.MOST);
    this.move(transforms.scaled(this.transform, most, ...at));
  }

  /** @param {1 | -1} direction */
  step(direction) {
    this.zoom(transforms.stepped(this.transform.scale, direction));
  }

  /**
   * Shows a point of the picture in the middle.
   * @param {number} x
   * @param {number} y
   * @param {number} scale
   */
  goTo(x, y, scale) {
    this.move(transforms.centred(scale, x, y, this.size));
  }

  /** @param {Transform} transform */
  move(transform) {
    this._isFitted = false;
    this._set(transforms.bounded(transform, this.picture, this.size));
  }

  /**
   * Where a pointer is, in device pixels of the canvas.
   * @param {{clientX: number, clientY: number}} event
   * @returns {[x: number, y: number]}
   */
  positionOf({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const ratio = this.ratio;
    return [clientX * ratio - Math.round(left * ratio), clientY * ratio - Math.round(top * ratio)];
  }

  /**
   * @param {{clientX: number, clientY: number}} event
   * @returns {[x: number, y: number]} a point of the picture
   */
  pointOf(event) {
    return transforms.toPicture(this.transform, ...this.positionOf(event));
  }

  /** What is drawn, one or two views. */
  get views() {
    return this._look().views;
  }

  /** The tiles in view. */
  get range() {
    const { levels } = /** @type {Scene} */ (this.scene);
    return rangeOf(this.visible, transforms.levelFor(this.transform.scale, levels.length), levels);
  }

  /** The part of the picture in view. */
  get visible() {
    return transforms.visibleBox(this.transform, this.picture, this.size);
  }

  /** Something has changed: draws before the next frame. */
  invalidate() {
    if (this._waiting) return;
    this._waiting = true;
    requestAnimationFrame(() => {
      this._waiting = false;
      this._draw();
    });
  }

  /** Only what lies over the picture has changed. */
  invalidateMarks() {
    if (this._waiting || this._marking) return;
    this._marking = true;
    requestAnimationFrame(() => {
      this._marking = false;
      if (!this._waiting) this._drawMarks();
    });
  }

  /** @param {Transform} transform */
  _set(transform) {
    this.transform = transform;
    Object.assign(this.canvas.dataset, transform);
    this._moved(transform);
    this.invalidate();
  }

  /**
   * @param {number} width device pixels
   * @param {number} height
   */
  _resize(width, height) {
    const before = this.size;
    if (before.width === width && before.height === height) return;
    for (const one of [this.canvas, this._marks.canvas]) Object.assign(one, { width, height });
    this._checker = checkered(this._context);
    if (this._isFitted) this.fit();
    else this.move(transforms.moved(this.transform, (width - before.width) / 2, (height - before.height) / 2));
  }

  _draw() {
    const { width, height } = this.size;
    this._context.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--surround");
    this._context.fillRect(0, 0, width, height);
    if (!this.scene || !width || !height) return;
    const { views, wipe, behind } = this._look();
    this.scene.prepare(this.range, views);
    const border = views.length > 1 ? Math.round(wipe * width) : width;
    this._clipped(0, border, () => this._drawView(views[0], behind));
    if (views.length > 1) this._clipped(border, width, () => this._drawView(views[1], behind));
    if (this.transform.scale >= transforms.GRID) this._drawGrid();
    this._drawMarks();
  }

  _drawMarks() {
    this._marks.clearRect(0, 0, this.size.width, this.size.height);
    if (this.scene) this._mark(this._marks);
  }

  /**
   * @param {number} left
   * @param {number} right
   * @param {() => void} draw
   */
  _clipped(left, right, draw) {
    this._context.save();
    this._context.beginPath();
    this._context.rect(left, 0, right - left, this.size.height);
    this._context.clip();
    draw();
    this._context.restore();
  }

  /**
   * @param {View} view
   * @param {Look["behind"]} behind
   */
  _drawView(view, behind) {
    const scene = /** @type {Scene} */ (this.scene);
    if (view.kind === "cutout" && scene.matte !== null) this._drawBehind(behind);
    const { level, top, left, bottom, right } = this.range;
    const hard = level === 0 && this.transform.scale >= 1;
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) this._drawTile(view, { level, row, column }, hard);
    }
  }

  /**
   * A tile, or what is there of it at a coarser level.
   * @param {View} view
   * @param {Place} place
   * @param {boolean} hard whether pixels are squares
   */
  _drawTile(view, place, hard) {
    const scene = /** @type {Scene} */ (this.scene);
    const box = boxOf(place, scene.levels);
    for (let up = 0; place.level + up < scene.levels.length; up++) {
      const from = { level: place.level + up, row: place.row >> up, column: place.column >> up };
      const surface = scene.surface(view, from);
      if (!surface) continue;
      const side = 2 ** from.level;
      const [left, top] = [box.left / side - from.column * 256, box.top / side - from.row * 256];
      const to = transforms.drawnBox(this.transform, box);
      this._context.imageSmoothingEnabled = !hard || up > 0;
      const size = [(box.right - box.left) / side, (box.bottom - box.top) / side];
      this._context.drawImage(
        surface, left, top, size[0], size[1], to.left, to.top, to.right - to.left, to.bottom - to.top,
      );
      return;
    }
  }

  /** @param {Look["behind"]} behind */
  _drawBehind(behind) {
    const all = { left: 0, top: 0, right: this.picture.width, bottom: this.picture.height };
    const { left, top, right, bottom } = transforms.drawnBox(this.transform, all);
    const [width, height] = [right - left, bottom - top];
    if (typeof behind === "string") {
      this._context.fillStyle = behind === "checker" ? this._checker : behind;
      this._context.fillRect(left, top, width, height);
      return;
    }
    const scale = Math.max(width / behind.width, height / behind.height); // it covers the photo, as in a composite
    const [partWidth, partHeight] = [width / scale, height / scale];
    const [x, y] = [(behind.width - partWidth) / 2, (behind.height - partHeight) / 2];
    this._context.imageSmoothingEnabled = true;
    this._context.drawImage(behind, x, y, partWidth, partHeight, left, top, width, height);
  }

  _drawGrid() {
    const { visible, transform, _context: context } = this;
    const box = transforms.drawnBox(transform, visible);
    context.fillStyle = "rgb(128 128 128 / 35%)";
    for (let x = visible.left; x <= visible.right; x++) {
      context.fillRect(Math.round(transform.left + x * transform.scale), box.top, 1, box.bottom - box.top);
    }
    for (let y = visible.top; y <= visible.bottom; y++) {
      context.fillRect(box.left, Math.round(transform.top + y * transform.scale), box.right - box.left, 1);
    }
  }
}
