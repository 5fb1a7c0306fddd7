/**
 * The saves that this tab began. How they end is told also when their photo was left meanwhile.
 *
 * @typedef {import("./api.js").ServerEvent} ServerEvent
 */
export class Saves {
  constructor() {
    /** @type {Map<string, string>} the names of their photos */
    this._names = new Map();
    /** @type {Map<string, ServerEvent>} ends that came before the answer that names the save */
    this._early = new Map();
  }

  /**
   * A save has begun. Gives its end, if that came before.
   * @param {string} save
   * @param {string} name of its photo
   */
  begin(save, name) {
    const early = this._early.get(save);
    this._early.clear(); // those of other tabs, too
    if (!early) this._names.set(save, name);
    return early;
  }

  /** The saves that have not ended yet, as far as is known here, with the names of their photos. */
  get awaited() {
    return [...this._names];
  }

  /** @param {string | undefined} save */
  awaits(save) {
    return save !== undefined && this._names.has(save);
  }

  /**
   * A save is waited for no longer. Says whether it was.
   * @param {string} save
   */
  forget(save) {
    return this._names.delete(save);
  }

  /**
   * A save has ended. Gives the name of its photo; undefined for a save of another tab.
   * @param {ServerEvent} event
   */
  end(event) {
    const name = this._names.get(event.save);
    if (name === undefined) this._early.set(event.save, event);
    this._names.delete(event.save);
    return name;
  }
}
