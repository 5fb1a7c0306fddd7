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
  }

  /**
   * What the server says of a photo, once the pen is up and the server has all strokes of the photo before. Null where
   * another photo was asked for meanwhile.
   * @param {string} id
   */
  async fact(id) {
    const turn = ++this._turn;
    this._wanted = id;
    const before = this._photo();
    await before?.sent();
    const fact = turn === this._turn ? await this._api.open(id) : null;
    while (turn === this._turn && (this._tools.busy || before?.queue.unsent)) await new Promise((done) => setTimeout(done, PAUSE));
    if (turn === this._turn) return fact;
    const isUnused = this._wanted !== id && this._photo()?.id !== id;
    if (fact && isUnused) void this._api.close(id).catch(() => undefined); // else no other tab may paint it
    return null;
  }
}
