/**
 * The tiles of an open photo as pictures to draw: fetched, composed, and kept up to date.
 *
 * What a stroke under the pen changes is composed at once. All other composing is the worker's.
 */
import { TileCache, boxOf, nameOf, placesIn } from "./tiles.js";
import { composed, withBand } from "./compose.js";
import { Fetcher } from "./fetcher.js";
import { addMatte } from "./matted.js";
import { LiveLabels, reachOf } from "./live.js";
import { coloursOf } from "./colours.js";
import { lastSpans } from "../paint/stroke.js";

/**
 * @typedef {import("./tiles.js").Place} Place
 * @typedef {import("./tiles.js").Layer} Layer
 * @typedef {import("./tiles.js").Tile} Tile
 * @typedef {import("./tiles.js").Range} Range
 * @typedef {import("../api.js").Matte} Matte
 * @typedef {import("./compose.js").View} View
 * @typedef {import("./compose.js").Layers} Layers
 * @typedef {import("../paint/stroke.js").Shape} Shape
 * @typedef {{canvas: OffscreenCanvas, stamp: string, busy: boolean, patches: number, used: number}} Surface
 *   stamp: what it shows, empty for nothing; busy: the worker is at it
 * @typedef {import("./fetcher.js").Wanted} Wanted
 * @typedef {{fetch: (wanted: Wanted[]) => Promise<Tile[]>,
 *   levels: [number, number][], changed: () => void, refused?: (text: string) => void,
 *   compose: (layers: Layers, view: View) => Promise<Uint8ClampedArray<ArrayBuffer>>,
 *   pending: () => {sequence: number, shape: Shape | null}[]}} Options
 */

const COMPOSING = 6;
const SURFACES = 500;
const PENDING = 50; // strokes that wait for tiles which are out of view

export class Scene {
  /** @param {Options} options pending: operations whose shapes are not in all labels yet */
  constructor(options) {
    this.options = options;
    this.levels = options.levels;
    this.cache = new TileCache({ levels: options.levels });
    const photo = (/** @type {Place} */ place) => this.cache.get("photo", place)?.data;
    this.live = new LiveLabels(options.levels, options.pending, photo);
    /** @type {{inside: number, outside: number} | null} a band that is tried with the slider */
    this.band = null;
    /** @type {Matte | null} whose alpha is shown */
    this.matte = null;
    /** @type {Record<string, unknown> | null} how edges and colours are finished, if they are */
    this.finish = null;
    this._finishes = 0;
    /** @type {Matte | null} the last exact one */
    this.exact = null;
    /** @type {Map<string, Surface>} */
    this._surfaces = new Map();
    this._fetcher = new Fetcher({ ...options, came: (tiles) => tiles.forEach((tile) => this.cache.put(tile)) });
    this._composing = 0;
    this._frame = 0;
  }

  /**
   * Sees to it that the tiles of a range are there for views. To be called for each frame.
   * @param {Range} range
   * @param {View[]} views
   */
  prepare(range, views) {
    this._frame += 1;
    this.range = range;
    const top = placesIn({ level: this.levels.length - 1, top: 0, left: 0, bottom: 1, right: 1 });
    const places = [...top, ...placesIn(range).filter(({ level }) => level !== top[0].level)];
    this._fetcher.request(this.cache.missing(this._layersOf(views), places));
    for (const place of places) for (const view of views) this._refresh(view, place);
    const shown = new Set(places.map(nameOf));
    const kept = (/** @type {Tile} */ tile) => shown.has(nameOf(tile));
    this.cache.trim(kept);
    const old = this.options.pending().length > PENDING ? this.cache.forgetOld(kept) : new Set();
    if (old.size) for (const name of this._surfaces.keys()) if (old.has(name.replace(/^\w+\//, ""))) this._surfaces.delete(name);
    if (this._surfaces.size > SURFACES) this._drop();
  }

  /**
   * @param {View} view
   * @param {Place} place
   * @returns {OffscreenCanvas | undefined}
   */
  surface(view, place) {
    const surface = this._surfaces.get(`${view.kind}/${nameOf(place)}`);
    return surface?.stamp ? surface.canvas : undefined;
  }

  /**
   * A point was added to the stroke under the pen: its pixels are drawn at once.
   * @param {View[]} views
   */
  extend(views) {
    const { range } = this;
    if (!this.live.current || !range) return;
    const [width, height] = this.levels[range.level];
    const spans = lastSpans(this.live.current, range.level, { width, height });
    for (const place of placesIn(range)) {
      const tile = this.cache.get("labels", place);
      const rect = tile && this.live.over(tile, spans).rect;
      if (rect) for (const view of views) this._patch(view, place, rect);
    }
  }

  /**
   * Tiles that came with an answer.
   * @param {Tile[]} tiles
   */
  accept(tiles) {
    for (const tile of tiles) this.cache.put(tile);
    this.options.changed();
  }

  /**
   * Another matte is there, or none any more.
   * @param {Matte | null} matte
   */
  showMatte(matte) {
    if (matte?.run === this.matte?.run) return;
    this.matte = matte;
    if (!matte || matte.kind === "exact") this.exact = matte;
    this._fetcher.askAgain();
    for (const layer of /** @type {Layer[]} */ (["alpha", "finished", "colours"])) {
      if (matte) this.cache.renew(layer, matte.run);
      else this.cache.forget(layer);
    }
    if (this.exact) this.cache.renew("exact", this.exact.run);
    this.options.changed();
  }

  /**
   * Edges and colours are finished in another way, or not at all.
   * @param {Record<string, unknown>} options
   */
  setFinish(options) {
    this.finish = Object.keys(options).length ? options : null;
    this._finishes += 1;
    for (const layer of /** @type {Layer[]} */ (["finished", "colours"])) {
      this.cache.forget(layer);
      if (this.matte) this.cache.renew(layer, this.matte.run);
    }
    this._fetcher.askAgain();
    this.options.changed();
  }

  /**
   * The photo's tiles are wrong where they have another exposure. They are drawn until the new ones are there.
   * @param {number} exposure which is the revision of such tiles
   */
  renewPhoto(exposure) {
    this.cache.renew("photo", exposure);
    this.options.changed();
  }

  /** The labels are others than those that are kept. They are drawn until the new ones are there. */
  renewLabels() {
    this.cache.forget("labels");
    this.renewBase();
    this.options.changed();
  }

  /** A base was laid, so distances may be there now. */
  renewBase() {
    this._fetcher.askAgain();
    this.cache.forget("base");
  }

  /**
   * The photo's colours at points, as far as its tiles of a level are there.
   * @param {number} level
   * @returns {import("../paint/edge.js").Colours}
   */
  colours(level) {
    return coloursOf(this.cache, this.levels, level);
  }

  /** @param {View[]} views */
  _layersOf(views) {
    /** @type {Layer[]} */
    const layers = ["photo", "labels"];
    if (this.matte && views.some(({ kind }) => kind === "alpha" || kind === "cutout")) {
      layers.push("alpha");
      if (this.matte.kind === "preview" && this.exact) layers.push("exact");
      if (this.finish) layers.push("finished");
      if (views.some(({ kind }) => kind === "cutout")) layers.push("colours");
    }
    if (this.band) layers.push("base");
    return layers;
  }

  /**
   * What is there to compose a tile of, and a stamp that says so.
   * @param {View} view
   * @param {Place} place
   */
  _inputs(view, place) {
    const photo = this.cache.get("photo", place);
    const tile = this.cache.get("labels", place);
    if (!photo || !tile) return null;
    const labels = this.live.over(tile);
    const shares = place.level > 0;
    const base = this.band ? this.cache.get("base", place) : undefined;
    let data = labels.data;
    let band = "";
    if (base && this.band) {
      data = withBand(data, new Int16Array(base.data.buffer), this.band, shares);
      band = `${this.band.inside}:${this.band.outside}`;
    }
    /** @type {Layers} */
    const layers = { width: photo.width, height: photo.height, photo: photo.data, labels: data, shares };
    const matte = this.matte ? addMatte(layers, this.cache, place, { ...this._shown(), kind: view.kind }) : "";
    const look = view.kind === "labels" ? `${view.overlay},${view.strength}` : "";
    const revisions = [photo.revision, labels.stamp, matte].join("|");
    return { layers, stamp: `${look}|${view.gamma}|${revisions}|${band}` };
  }

  _shown() {
    return { matte: /** @type {Matte} */ (this.matte), isFinished: this.finish !== null, finishes: this._finishes };
  }

  /**
   * Has a tile composed, if it shows something else than it should.
   * @param {View} view
   * @param {Place} place
   */
  _refresh(view, place) {
    const name = `${view.kind}/${nameOf(place)}`;
    const surface = this._surfaces.get(name);
    if (surface) surface.used = this._frame;
    if (surface?.busy || this._composing >= COMPOSING) return;
    const inputs = this._inputs(view, place);
    if (!inputs || surface?.stamp === inputs.stamp) return;
    const { width, height } = inputs.layers;
    const made = surface ?? { canvas: new OffscreenCanvas(width, height), stamp: "", busy: true, patches: 0, used: 0 };
    made.used = this._frame;
    this._surfaces.set(name, made);
    void this._compose(made, inputs, view);
  }

  /**
   * @param {Surface} surface
   * @param {{layers: Layers, stamp: string}} inputs
   * @param {View} view
   */
  async _compose(surface, { layers, stamp }, view) {
    const { patches } = surface;
    surface.busy = true;
    this._composing += 1;
    const pixels = await this.options.compose(layers, view);
    this._composing -= 1;
    surface.busy = false;
    if (surface.patches === patches) {
      contextOf(surface.canvas).putImageData(new ImageData(pixels, layers.width, layers.height), 0, 0);
      surface.stamp = stamp;
    }
    this.options.changed();
  }

  /**
   * Composes a part of a tile now; all of it where the worker has not shown it yet, or is making it from old labels.
   * @param {View} view
   * @param {Place} place
   * @param {import("./compose.js").Rect} rect
   */
  _patch(view, place, rect) {
    const surface = this._surfaces.get(`${view.kind}/${nameOf(place)}`);
    const inputs = this._inputs(view, place);
    if (!surface || !inputs) return;
    const { width, height } = inputs.layers;
    const whole = surface.busy || !surface.stamp;
    const part = whole ? { left: 0, top: 0, right: width, bottom: height } : rect;
    const pixels = composed(inputs.layers, view, part);
    const data = new ImageData(pixels, part.right - part.left, part.bottom - part.top);
    contextOf(surface.canvas).putImageData(data, part.left, part.top);
    surface.stamp = inputs.stamp;
    surface.patches += 1;
  }

  /** Forgets the pictures that were drawn longest ago. */
  _drop() {
    const old = [...this._surfaces].sort((a, b) => a[1].used - b[1].used);
    for (const [name, { used }] of old.slice(0, SURFACES / 4)) if (used < this._frame) this._surfaces.delete(name);
  }

  /**
   * Whether a shape is in all of the server's labels that are shown.
   * @param {{sequence: number, shape: Shape | null}} entry
   */
  drawn({ sequence, shape }) {
    return !shape || !this.cache.olderThan(sequence, reachOf(shape));
  }
}

/** @param {OffscreenCanvas} canvas */
function contextOf(canvas) {
  return /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
