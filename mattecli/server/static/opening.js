/** Opening photos: the one that was asked for last is opened, once the one before can be left. */

const PAUSE = 30; // milliseconds between looks at whether the pen is up

export class Opening {
  /** @param {{api: import("./api.js").Api, tools: {busy: boolean}, photo: () => import("./photo.js").OpenPhoto | null}} parts */
  constructor({ api, tools, photo }) {
    this._api = api;
    this._tools = tools;
    this._photo = photo;
    this._turn = 0;
    this._wanted = "";
    this._warned = ""; // the photo for which strokes would be lost, as was said
    /** @type {Set<string | undefined>} the photos that events told of since they were asked for */
    this._told = new Set();
  }

  /** Whether a photo was asked for and is not there yet. */
  get busy() {
    return this._wanted !== "";
  }

  /**
   * The open photo is wanted, and no other one.
   * @param {string} id
   */
  stay(id) {
    if (this._wanted === id) return; // it is opened anew
    this._turn += 1;
    this._wanted = "";
  }

  /**
   * An event tells of a photo.
   * @param {import("./api.js").ServerEvent} event
   */
  told({ type, photo }) {
    if (type !== "progress") this._told.add(photo);
  }

  /**
   * What the server says of a photo, once the pen is up and the server has all strokes of the photo before. Null where
   * another photo was asked for meanwhile. Throws an error where strokes would be lost; asked again, it loses them.
   * @param {string} id
   */
  async fact(id) {
    const turn = ++this._turn;
    const isLast = () => turn === this._turn;
    this._wanted = id;
    let fact = null;
    let isUsed = false;
    try {
      while (isLast() && (!fact || this._told.has(id) || this._isHeld)) {
        while (fact && isLast() && this._tools.busy) await new Promise((done) => setTimeout(done, PAUSE));
        await this._sent(id);
        this._told.delete(id);
        if (isLast()) fact = await this._api.open(id);
      }
      isUsed = isLast();
    } finally {
      if (isLast()) this._wanted = "";
      const isUnused = this._wanted !== id && this._photo()?.id !== id;
      if (fact && !isUsed && isUnused) void this._api.close(id).catch(() => undefined); // else no other tab may paint it
    }
    return isUsed ? fact : null;
  }

  get _isHeld() {
    return this._tools.busy || Boolean(this._photo()?.queue.unsent);
  }

  /** @param {string} id of the photo that is opened next */
  async _sent(id) {
    const before = this._photo();
    try {
      await before?.sent();
    } catch (error) {
      const isKnown = this._warned === id;
      this._warned = isKnown ? "" : id;
      if (!isKnown) throw new Error(`${/** @type {Error} */ (error).message}. Open the other photo again to leave without them.`);
      before?.queue.forget();
    }
  }
}
