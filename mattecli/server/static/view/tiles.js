/**
 * Tiles of the picture's layers that the page holds, and which of them it needs.
 *
 * A tile of `labels` is as new as its revision: the number of the last operation that changed it. An answer says which
 * tiles an operation changed; older ones are then fetched again, and drawn until the new ones are there.
 *
 * @typedef {import("./transform.js").Box} Box
 * @typedef {"photo" | "labels" | "alpha" | "exact" | "finished" | "colours" | "base"} Layer
 *   alpha is that of the last matte; exact that of the last exact one, which lies around a preview;
 *   finished is alpha with other edges
 * @typedef {{layer: Layer, level: number, row: number, column: number, revision: number | string,
 *   height: number, width: number, channels: number, data: Uint8Array}} Tile
 * @typedef {{level: number, row: number, column: number}} Place
 * @typedef {{level: number, top: number, left: number, bottom: number, right: number}} Range in tiles; half open
 */

export const TILE = 256;
const MOST_BYTES = 160 * 2 ** 20;

/**
 * The tiles that a box of the picture needs at a level.
 * @param {Box} box
 * @param {number} level
 * @param {[width: number, height: number][]} levels
 * @returns {Range}
 */
export function rangeOf(box, level, levels) {
  const side = TILE * 2 ** level;
  const [width, height] = levels[level];
  return {
    level,
    top: Math.floor(box.top / side),
    left: Math.floor(box.left / side),
    bottom: Math.min(Math.ceil(box.bottom / side), Math.ceil(height / TILE)),
    right: Math.min(Math.ceil(box.right / side), Math.ceil(width / TILE)),
  };
}

/**
 * The places of a range, those in the middle first.
 * @param {Range} range
 * @returns {Place[]}
 */
export function placesIn(range) {
  const places = [];
  for (let row = range.top; row < range.bottom; row++) {
    for (let column = range.left; column < range.right; column++) places.push({ level: range.level, row, column });
  }
  const [middleRow, middleColumn] = [(range.top + range.bottom - 1) / 2, (range.left + range.right - 1) / 2];
  const away = (/** @type {Place} */ at) => Math.hypot(at.row - middleRow, at.column - middleColumn);
  return places.sort((a, b) => away(a) - away(b));
}

/**
 * The pixels of the picture that a tile shows.
 * @param {Place} place
 * @param {[width: number, height: number][]} levels
 * @returns {Box}
 */
export function boxOf({ level, row, column }, levels) {
  const side = TILE * 2 ** level;
  const [width, height] = levels[0];
  return {
    left: column * side,
    top: row * side,
    right: Math.min((column + 1) * side, width),
    bottom: Math.min((row + 1) * side, height),
  };
}

/** @param {Place} place */
export const nameOf = ({ level, row, column }) => `${level}/${row}/${column}`;

export class TileCache {
  /** @param {{levels: [number, number][], most?: number}} options levels: width and height of each */
  constructor({ levels, most = MOST_BYTES }) {
    this.levels = levels;
    this.bytes = 0;
    this._most = most;
    /** @type {Map<string, Tile>} the ones used last at the end */
    this._tiles = new Map();
    /** @type {Map<string, number>} what labels must be at least */
    this._least = new Map();
    /** @type {Map<Layer, number | string>} the revision that all tiles of a layer must have */
    this._whole = new Map();
  }

  /**
   * @param {Layer} layer
   * @param {Place} place
   * @returns {Tile | undefined}
   */
  get(layer, place) {
    const name = `${layer}/${nameOf(place)}`;
    const tile = this._tiles.get(name);
    if (tile) {
      this._tiles.delete(name);
      this._tiles.set(name, tile);
    }
    return tile;
  }

  /**
   * Keeps a tile, unless a newer one is there. Says whether it was kept.
   * @param {Tile} tile
   */
  put(tile) {
    const name = `${tile.layer}/${nameOf(tile)}`;
    const old = this._tiles.get(name);
    if (old && counted(tile.layer) && Number(old.revision) > Number(tile.revision)) return false;
    const whole = this._whole.get(tile.layer);
    if (whole !== undefined && whole !== tile.revision) return false;
    if (old) this.bytes -= old.data.byteLength;
    this._tiles.delete(name);
    this._tiles.set(name, tile);
    this.bytes += tile.data.byteLength;
    return true;
  }

  /**
   * Whether a tile is there and as new as it must be.
   * @param {Layer} layer
   * @param {Place} place
   */
  fresh(layer, place) {
    const tile = this._tiles.get(`${layer}/${nameOf(place)}`);
    if (!tile) return false;
    if (counted(layer)) return Number(tile.revision) >= (this._least.get(nameOf(place)) ?? 0);
    const whole = this._whole.get(layer);
    return whole === undefined || tile.revision === whole;
  }

  /**
   * An operation changed labels in these tiles of level 0, and so in those above them.
   * @param {[row: number, column: number][]} changed
   * @param {number} revision
   */
  changed(changed, revision) {
    for (let level = 0; level < this.levels.length; level++) {
      for (const [row, column] of changed) {
        const name = nameOf({ level, row: row >> level, column: column >> level });
        if ((this._least.get(name) ?? 0) < revision) this._least.set(name, revision);
      }
    }
  }

  /**
   * All tiles of a layer must have this revision from now on.
   * @param {Layer} layer
   * @param {number | string} revision
   */
  renew(layer, revision) {
    this._whole.set(layer, revision);
  }

  /**
   * Forgets a layer.
   * @param {Layer} layer
   */
  forget(layer) {
    this._whole.delete(layer);
    for (const [name, tile] of this._tiles) {
      if (tile.layer === layer) this._drop(name, tile);
    }
  }

  /**
   * What of these layers is missing or old at places, to be fetched.
   * @param {Layer[]} layers
   * @param {Place[]} places
   * @returns {{layer: Layer, level: number, row: number, column: number}[]}
   */
  missing(layers, places) {
    return places.flatMap((place) =>
      layers.filter((layer) => !this.fresh(layer, place)).map((layer) => ({ layer, ...place })),
    );
  }

  /**
   * Forgets the tiles that were used longest ago, until the others fit. Those that `kept` names stay.
   * @param {(tile: Tile) => boolean} kept
   */
  trim(kept) {
    for (const [name, tile] of this._tiles) {
      if (this.bytes <= this._most) return;
      if (!kept(tile)) this._drop(name, tile);
    }
  }

  /**
   * Forgets labels that are older than they must be, and gives the names of their places. Those that `kept` names stay.
   * @param {(tile: Tile) => boolean} kept
   */
  forgetOld(kept) {
    /** @type {Set<string>} */
    const places = new Set();
    for (const [name, tile] of this._tiles) {
      if (tile.layer !== "labels" || kept(tile) || this.fresh("labels", tile)) continue;
      this._drop(name, tile);
      places.add(nameOf(tile));
    }
    return places;
  }

  /**
   * Whether labels older than a revision are still among the tiles of a level that cover a box.
   * @param {number} revision
   * @param {Box} box
   */
  olderThan(revision, box) {
    for (const tile of this._tiles.values()) {
      if (tile.layer !== "labels" || Number(tile.revision) >= revision) continue;
      if ((this._least.get(nameOf(tile)) ?? 0) < revision) continue; // the operation did not change it
      const at = boxOf(tile, this.levels);
      if (at.left < box.right && box.left < at.right && at.top < box.bottom && box.top < at.bottom) return true;
    }
    return false;
  }

  /**
   * @param {string} name
   * @param {Tile} tile
   */
  _drop(name, tile) {
    this._tiles.delete(name);
    this.bytes -= tile.data.byteLength;
  }
}

/** @param {Layer} layer whether its revisions are numbers of operations */
function counted(layer) {
  return layer === "labels" || layer === "base";
}
