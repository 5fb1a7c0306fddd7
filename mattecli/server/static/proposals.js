/** The trimaps that are proposed for the open photo: asked for, waited for and laid under the paint. */
import { sentence } from "./sentence.js";

const PAUSE = 300; // milliseconds after the pen went up

/**
 * @typedef {{entry: import("./paint/stroke.js").Entry, undoable: boolean | null, undone: boolean}} Refined
 *   undoable: whether it changed something, null before the server's answer; undone: to be taken back if it did
 */

export class Proposals {
  /** @param {import("./photo.js").OpenPhoto} photo */
  constructor(photo) {
    this._photo = photo;
    this._timer = 0;
    this._again = false;
    this._turn = 0;
    /** @type {Map<string, import("./api.js").ServerEvent>} events that came before the answer that names the proposal */
    this._early = new Map();
    /** @type {Set<string>} proposals that are not laid, for the stroke that led to them was taken back */
    this.dropped = new Set();
    /** @type {Refined | null} the last proposal that was laid, if a stroke led to it */
    this.refined = null;
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
    const turn = ++this._turn;
    this._again = again;
    this._early.clear();
    this._photo.store.set({ proposing: "…" });
    try {
      await this._photo.sent();
      if (turn !== this._turn) return;
      const { proposal } = await ask();
      if (turn !== this._turn) return void this.dropped.add(proposal);
      this._photo.store.set({ proposing: proposal });
      const early = this._early.get(proposal);
      if (early) this.told(early);
    } catch (error) {
      if (turn !== this._turn) return;
      this._photo.store.set({ proposing: null });
      this._photo.say(sentence(/** @type {Error} */ (error).message), "bad");
    }
  }

  /**
   * The server tells how a proposal ended.
   * @param {import("./api.js").ServerEvent} event
   */
  told(event) {
    const { proposal, error, cancelled, inside, outside, notes } = event;
    const { proposing } = this._photo.store.now;
    if (proposing === "…") this._early.set(proposal, event);
    if (proposing !== proposal) return; // another one is being made
    if (!error) return this.lay({ proposal, inside, outside, notes: notes ?? [] });
    this._photo.store.set({ proposing: null });
    if (!cancelled) this._photo.say(sentence(error), "bad");
  }

  /**
   * A proposal is ready: lays it under the paint.
   * @param {{proposal: string, inside: number, outside: number, notes: string[]}} made
   */
  lay({ proposal, inside, outside, notes }) {
    const { band, hasBase } = this._photo.store.now;
    const kept = this._again && hasBase; // the slider stays where it was put
    const base = { kind: "base", proposal, inside: kept ? band.inside : inside, outside: kept ? band.outside : outside };
    const entry = this._photo.do(base);
    this.refined = this._again && entry ? { entry, undoable: null, undone: false } : null;
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

  /** Lays nothing that a stroke led to, for strokes are taken back or done again. */
  drop() {
    clearTimeout(this._timer);
    const { proposing } = this._photo.store.now;
    if (!this._again || !proposing) return;
    this._turn += 1;
    this.dropped.add(proposing);
    this._photo.store.set({ proposing: null });
  }

  /** Makes no more. */
  close() {
    clearTimeout(this._timer);
  }
}
