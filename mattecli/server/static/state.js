/**
 * What the page knows, in one place. Panels watch the fields that they show.
 *
 * @typedef {import("./api.js").OpenFact} OpenFact
 * @typedef {import("./api.js").Matte} Matte
 * @typedef {import("./api.js").BoxList} BoxList
 * @typedef {import("./view/compose.js").Kind} Kind
 * @typedef {import("./view/compose.js").Overlay} Overlay
 * @typedef {"brush" | "edge" | "lasso" | "polygon" | "fill" | "box" | "hand" | "pick"} Tool
 * @typedef {{run: number, kind: "preview" | "exact", share: number, left: number | null}} Run left: seconds
 * @typedef {{text: string, kind: "good" | "bad" | "plain"}} Message
 *
 * @typedef {object} Fields
 * @property {import("./api.js").SessionFact | null} session
 * @property {OpenFact | null} photo the one that is open
 * @property {Tool} tool
 * @property {0 | 128 | 255} label what the brush paints
 * @property {boolean} eraser whether it paints the other label
 * @property {number} size of the brush, in pixels of the picture
 * @property {boolean} pressure whether a pen's pressure changes the radius
 * @property {number[]} over the labels that may be painted over
 * @property {number | null} likeness how far a colour may be from the first one of a stroke, in 255ths of a channel
 * @property {Kind} view
 * @property {Kind | null} wipe the view on the right of the wipe
 * @property {number} wipeAt share of the width
 * @property {boolean} bare whether the photo is shown alone, while a key is held
 * @property {Overlay} overlay
 * @property {number} strength of the overlay
 * @property {number} gamma
 * @property {number} exposure
 * @property {"checker" | string | ImageBitmap} behind what cut-outs lie on
 * @property {number} scale
 * @property {number} painted the last operation that changed the labels
 * @property {number} undoable
 * @property {number} redoable
 * @property {import("./api.js").Band} band
 * @property {number} unsent
 * @property {boolean} online
 * @property {boolean} stuck whether the server answers and cannot take what is unsent
 * @property {Matte | null} matte
 * @property {Run | null} run
 * @property {number | null} estimate seconds of an exact run
 * @property {boolean} automatic whether mattes are made by themselves
 * @property {boolean} refining whether each stroke makes a new proposal
 * @property {BoxList | null} box
 * @property {string | null} begun what the last proposal was made from, if strokes can make it better
 * @property {string | null} proposing the proposal that is being made
 * @property {boolean} hasBase whether a proposal or mask lies under the paint
 * @property {Record<string, unknown>} finish how edges and colours are finished, by the names of the command line
 * @property {number | null} saved
 * @property {string | null} saving
 * @property {import("./api.js").Finding[] | null} findings
 * @property {number} finding the one that is shown; -1 for none
 * @property {import("./api.js").Finding[]} seen those that were looked at, also of earlier mattes
 * @property {Message | null} message
 */

/** @returns {Fields} */
export function initialFields() {
  return {
    session: null, photo: null, tool: "box", label: 255, eraser: false, size: 40, pressure: false, over: [0, 128, 255],
    likeness: null, view: "photo", wipe: null, wipeAt: 0.5, bare: false, overlay: "tint", strength: 0.4, gamma: 1, exposure: 0,
    behind: "checker", scale: 1, painted: 0, undoable: 0, redoable: 0, band: { inside: 0, outside: 0, reach: 0 },
    unsent: 0, online: true, stuck: false, matte: null, run: null, estimate: null, automatic: true, refining: true, box: null, begun: null,
    proposing: null, hasBase: false, finish: {}, saved: null, saving: null, findings: null, finding: -1, seen: [], message: null,
  };
}

/**
 * The exposure and gamma that are shown. A cut-out has none, nor has what is compared with it: its colours are estimated
 * on the photo as it is, and nothing brighter is known of them.
 * @param {Readonly<Pick<Fields, "view" | "wipe" | "exposure" | "gamma">>} now
 */
export function lightOf({ view, wipe, exposure, gamma }) {
  return view === "cutout" || wipe === "cutout" ? { exposure: 0, gamma: 1 } : { exposure, gamma };
}

/**
 * Fields that can be watched.
 *
 * @template {object} T
 */
export class Store {
  /** @param {T} fields */
  constructor(fields) {
    this._fields = fields;
    /** @type {{names: (keyof T)[], react: (fields: Readonly<T>) => void}[]} */
    this._watchers = [];
    /** @type {Set<keyof T>} */
    this._touched = new Set();
  }

  /** @returns {Readonly<T>} */
  get now() {
    return this._fields;
  }

  /**
   * Sets fields. Watchers run once, after all changes of this turn.
   * @param {Partial<T>} patch
   */
  set(patch) {
    for (const name of /** @type {(keyof T)[]} */ (Object.keys(patch))) {
      if (Object.is(this._fields[name], patch[name])) continue;
      this._fields[name] = /** @type {T[keyof T]} */ (patch[name]);
      if (this._touched.size === 0) queueMicrotask(() => this._tell());
      this._touched.add(name);
    }
  }

  /**
   * Calls `react` now and after each change of one of the fields.
   * @param {(keyof T)[]} names
   * @param {(fields: Readonly<T>) => void} react
   */
  watch(names, react) {
    this._watchers.push({ names, react });
    react(this._fields);
  }

  _tell() {
    const touched = this._touched;
    this._touched = new Set();
    for (const { names, react } of this._watchers) if (names.some((name) => touched.has(name))) react(this._fields);
  }
}
