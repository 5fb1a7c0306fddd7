/** The trimaps that are proposed for the open photo: asked for, waited for and laid under the paint. */
import { sentence } from "./sentence.js";

const PAUSE = 300; // milliseconds after the pen went up

export class Proposals {
  /** @param {import("./photo.js").OpenPhoto} photo */
  constructor(photo) {
    this._photo = photo;
    this._timer = 0;
    this._again = false;
    /** The number of the last operation that laid a proposal, if a stroke led to it. */
    this.refined = 0;
  }

  /**
   * @param {{source: string, colour?: string}} from
   * @param {boolean} [again] whether a stroke led to it
   */
  async make(from, again = false) {
    const box = this._photo.store.now.box;
    const painted = from.source === "box" || from.source === "strokes";
    if (!again) {
      this._photo.store.set({ begun: painted ? from.source : null });
      sessionStorage.setItem(`begun/${this._photo.id}`, JSON.stringify({ source: this._photo.store.now.begun, box }));
    }
    const whole = box && painted ? { ...from, box } : from;
    await this._proposed(() => this._photo.api.propose(this._photo.id, whole), again);
  }

  /** @param {Blob} file a mask, trimap, matte or cut-out */
  async layFile(file) {
    this._photo.store.set({ begun: null });
    await this._proposed(() => this._photo.api.base(this._photo.id, file), false);
  }

  /**
   * @param {() => Promise<{proposal: string}>} ask
   * @param {boolean} again
   */
  async _proposed(ask, again) {
    this._again = again;
    this._photo.store.set({ proposing: "…" });
    try {
      await this._photo.sent();
      const { proposal } = await ask();
      if (this._photo.store.now.proposing) this._photo.store.set({ proposing: proposal });
    } catch (error) {
      this._photo.store.set({ proposing: null });
      this._photo.say(sentence(/** @type {Error} */ (error).message), "bad");
    }
  }

  /**
   * A proposal is ready: lays it under the paint.
   * @param {{proposal: string, inside: number, outside: number, notes: string[]}} made
   */
  lay({ proposal, inside, outside, notes }) {
    const { band, hasBase } = this._photo.store.now;
    const kept = this._again && hasBase; // the slider stays where it was put
    this._photo.do({ kind: "base", proposal, inside: kept ? band.inside : inside, outside: kept ? band.outside : outside });
    this.refined = this._again ? this._photo.queue.last : 0;
    this._photo.store.set({ proposing: null });
    this._photo.mattes.soon(); // also where the labels stay as they are
    if (this._again) return;
    const { view, tool } = this._photo.store.now;
    this._photo.store.set({ view: view === "photo" ? "labels" : view, tool: tool === "box" ? "brush" : tool });
    this._photo.say(notes.length ? notes.map(sentence).join(" ") : "The trimap is ready. Paint where it is wrong.", "good");
  }

  /** Makes a new one when the pen has gone up, where strokes can make it better. */
  soon() {
    clearTimeout(this._timer);
    const { refining, hasBase, begun } = this._photo.store.now;
    if (!refining || !hasBase || !begun) return;
    this._timer = setTimeout(() => void this.make({ source: begun }, true), PAUSE);
  }

  /** Makes no more. */
  close() {
    clearTimeout(this._timer);
  }
}
