/** Fetches tiles from the server: some at a time, each once, and again later where that fails. */
import { Refusal } from "../paint/stroke.js";
import { nameOf } from "./tiles.js";

/**
 * @typedef {import("./tiles.js").Layer} Layer
 * @typedef {import("./tiles.js").Tile} Tile
 * @typedef {{layer: Layer, level: number, row: number, column: number}} Wanted
 * @typedef {{fetch: (wanted: Wanted[]) => Promise<Tile[]>, came: (tiles: Tile[]) => void, changed: () => void,
 *   refused?: (text: string) => void}} Options
 */

const AT_ONCE = 24; // tiles in a request
const REQUESTS = 2;
const PAUSE = 800; // milliseconds after a failure
/** @type {Layer[][]} layers that are asked for together; there may be none of the later ones */
const TOGETHER = [["photo", "labels"], ["alpha"], ["exact"], ["base"], ["finished"], ["colours"]];

export class Fetcher {
  /**
   * @param {Options} options came: takes the tiles; changed: called when something came, or may be asked for again;
   *   refused: says why the server makes no such tiles
   */
  constructor(options) {
    this._options = options;
    /** @type {Set<string>} */
    this._asked = new Set();
    /** @type {Set<string>} what the server does not have */
    this._absent = new Set();
    this._turn = 0; // an answer that was asked for in an earlier one says nothing of what is absent now
    this._told = -1; // the turn in which a refusal was said last
    this._running = 0;
  }

  /**
   * Asks for what is not on its way.
   * @param {Wanted[]} missing those that matter most first
   */
  request(missing) {
    const wanted = missing.filter((one) => !this._asked.has(keyOf(one)) && !this._absent.has(keyOf(one)));
    for (const layers of TOGETHER) {
      const group = wanted.filter(({ layer }) => layers.includes(layer));
      while (group.length && this._running < REQUESTS) void this._fetch(group.splice(0, AT_ONCE));
    }
  }

  /** What was missing may be there now. */
  askAgain() {
    this._turn += 1;
    this._absent.clear();
  }

  /** @param {Wanted[]} wanted */
  async _fetch(wanted) {
    const keys = wanted.map(keyOf);
    const turn = this._turn;
    const lack = (/** @type {string} */ key) => turn === this._turn && this._absent.add(key);
    for (const key of keys) this._asked.add(key);
    this._running += 1;
    try {
      const tiles = await this._options.fetch(wanted);
      this._options.came(tiles);
      const came = new Set(tiles.map(keyOf));
      for (const key of keys) if (!came.has(key)) lack(key);
    } catch (error) {
      if (error instanceof Refusal && (error.status === 404 || error.status === 400)) {
        keys.forEach(lack);
        if (error.status === 400 && turn === this._turn) this._refused(error.message);
      } else await new Promise((done) => setTimeout(done, PAUSE));
    }
    this._running -= 1;
    for (const key of keys) this._asked.delete(key);
    this._options.changed();
  }

  /** @param {string} text that is said once, though many tiles are refused for the same reason */
  _refused(text) {
    if (this._told !== this._turn) this._options.refused?.(text);
    this._told = this._turn;
  }
}

/** @param {Wanted} wanted */
const keyOf = (wanted) => `${wanted.layer}/${nameOf(wanted)}`;
