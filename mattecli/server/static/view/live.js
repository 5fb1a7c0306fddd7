/**
 * Labels with the strokes that the server's do not have yet: the one under the pen, and those on their way.
 */
import { boxOf, nameOf } from "./tiles.js";
import { paintTile, shapeSpans } from "../paint/stroke.js";

/**
 * @typedef {import("./tiles.js").Place} Place
 * @typedef {import("./tiles.js").Tile} Tile
 * @typedef {import("./compose.js").Rect} Rect
 * @typedef {import("./transform.js").Box} Box
 * @typedef {import("../paint/stroke.js").Shape} Shape
 * @typedef {{tile: Tile, done: {shape: Shape, points: number}[], data: Uint8Array, version: number}} Copy
 *   version: another one for each change; 0 where the strokes changed nothing yet
 */

export class LiveLabels {
  /**
   * @param {[width: number, height: number][]} levels
   * @param {() => {sequence: number, shape: Shape | null}[]} pending operations, in the order of their numbers
   * @param {(place: Place) => Uint8Array | undefined} [photo] colours of a tile, for strokes that keep to some
   */
  constructor(levels, pending, photo = () => undefined) {
    this._photo = photo;
    this._levels = levels;
    this._pending = pending;
    /** @type {Shape | null} the stroke under the pen */
    this.current = null;
    /** @type {Map<string, Copy>} */
    this._copies = new Map();
    this._versions = 0;
  }

  /**
   * The labels of a tile now, a stamp that says what they are, and the part that changed since they were last asked for.
   * @param {Tile} tile of the server's labels
   * @param {number[]} [spans] what the last point of the stroke under the pen adds
   * @returns {{data: Uint8Array, stamp: string, rect: Rect | null}}
   */
  over(tile, spans) {
    const box = boxOf(tile, this._levels);
    const shapes = this._pending().flatMap(({ sequence, shape }) =>
      shape && sequence > Number(tile.revision) && touch(reachOf(shape), box) ? [shape] : [],
    );
    if (this.current && touch(reachOf(this.current), box)) shapes.push(this.current);
    const name = nameOf(tile);
    if (!shapes.length) {
      this._copies.delete(name);
      return { data: tile.data, stamp: `${tile.revision}`, rect: null };
    }
    const old = this._copies.get(name);
    const goesOn = old !== undefined && old.tile === tile && old.done.every(({ shape }, i) => shape === shapes[i]);
    const copy = goesOn ? old : { tile, done: [], data: tile.data.slice(), version: 0 };
    this._copies.set(name, copy);
    const rect = this._paint(copy, shapes, goesOn ? spans : undefined);
    if (rect) copy.version = ++this._versions;
    return { data: copy.data, stamp: copy.version ? `${tile.revision}+${copy.version}` : `${tile.revision}`, rect };
  }

  /**
   * @param {Copy} copy
   * @param {Shape[]} shapes
   * @param {number[]} [spans]
   */
  _paint({ tile, done, data }, shapes, spans) {
    const [width, height] = this._levels[tile.level];
    const place = { data, shares: tile.level > 0, left: tile.column * 256, top: tile.row * 256 };
    const target = { ...place, width: tile.width, height: tile.height, photo: this._photo(tile) };
    /** @type {Rect | null} */
    let rect = null;
    shapes.forEach((shape, i) => {
      const before = done[i]?.points ?? 0;
      if (before === shape.points.length) return;
      const one = spans && shape === this.current && before === shape.points.length - 1;
      rect = joined(rect, paintTile(one ? spans : shapeSpans(shape, tile.level, { width, height }), shape, target));
      done[i] = { shape, points: shape.points.length };
    });
    return rect;
  }
}

/** @type {WeakMap<Shape, {points: number, box: Box}>} */
const reaches = new WeakMap();

/**
 * The part of the picture that a shape may cover.
 * @param {Shape} shape
 * @returns {Box}
 */
export function reachOf(shape) {
  const known = reaches.get(shape) ?? { points: 0, box: { left: Infinity, top: Infinity, right: -1, bottom: -1 } };
  for (const [x, y, radius] of shape.points.slice(known.points)) {
    const { left, top, right, bottom } = known.box;
    known.box = {
      left: Math.min(left, x - radius - 1),
      top: Math.min(top, y - radius - 1),
      right: Math.max(right, x + radius + 1),
      bottom: Math.max(bottom, y + radius + 1),
    };
  }
  known.points = shape.points.length;
  reaches.set(shape, known);
  return known.box;
}

/**
 * @param {Box} a
 * @param {Box} b
 */
function touch(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/**
 * @param {Rect | null} a
 * @param {Rect | null} b
 */
function joined(a, b) {
  if (!a || !b) return a ?? b;
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}
