/**
 * What the page knows, in one place. Panels watch the fields that they show.
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
