/** The trimaps that are proposed for the open photo: asked for, waited for and laid under the paint. */
import { sentence } from "./sentence.js";

const PAUSE = 300; // milliseconds after the pen went up

/**
 * @typedef {{after: number, isDropped: boolean}} Asked
 *   after: the stroke that a proposal followed from, 0 for one that a person asked for; isDropped: that stroke was undone
 */

export class Proposals {
  /** @param {import("./photo.js").OpenPhoto} photo */
  constructor(photo) {
    this._photo = photo;
    this._timer = 0;
    this._due = 0; // the stroke from which a proposal is to follow, 0 for none
    /** @type {number[]} the strokes that no proposal that was laid knew of */
    this._bare = [];
    this._turn = 0;
    /** @type {Map<string, import("./api.js").ServerEvent>} events that came before the answer that names the proposal */
    this._early = new Map();
  }

  /** What was last asked for, also after a reload. @returns {Asked} */
  get _asked() {
    return JSON.parse(sessionStorage.getItem(`proposed/${this._photo.id}`) ?? '{"after": 0, "isDropped": false}');
  }

  set _asked(asked) {
    sessionStorage.setItem(`proposed/${this._photo.id}`, JSON.stringify(asked));
  }

  /**
   * A proposal that the server says is being made: the same word, or null where it is not to be laid.
   * @param {string | null} proposal
   */
  adopted(proposal) {
    return this._asked.isDropped ? null : proposal;
  }

  /**
   * @param {{source: string, colour?: string}} from
   * @param {number} [after] the stroke that it follows from
   */
  async make(from, after = 0) {
    const box = this._photo.store.now.box;
    const painted = from.source === "box" || from.source === "strokes";
    if (!after) {
      this._bare = []; // this one knows them
      this._photo.store.set({ begun: painted ? from.source : null });
      sessionStorage.setItem(`begun/${this._photo.id}`, JSON.stringify({ source: this._photo.store.now.begun, box }));
    }
    const whole = box && painted ? { ...from, box } : from;
    await this._proposed(() => this._photo.api.propose(this._photo.id, whole), after);
  }

  /** @param {Blob} file a mask, trimap, matte or cut-out */
  async layFile(file) {
    this._photo.store.set({ begun: null });
    await this._proposed(() => this._photo.api.base(this._photo.id, file), 0);
  }

  /**
   * @param {() => Promise<{proposal: string}>} ask
   * @param {number} after
   */
  async _proposed(ask, after) {
    const turn = ++this._turn;
    this._asked = { after, isDropped: false };
    this._early.clear();
    this._photo.store.set({ proposing: "…" });
    try {
      await this._photo.sent();
      if (turn !== this._turn) return;
      const { proposal } = await ask();
      if (turn !== this._turn) return;
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
    const { after } = this._asked;
    this._bare = after ? this._bare.filter((stroke) => stroke > after) : []; // a stroke that was undone may be done again
    this._photo.do(after ? { kind: "base", proposal, after } : { kind: "base", proposal, inside, outside });
    this._photo.store.set({ proposing: null });
    this._photo.mattes.soon(); // also where the labels stay as they are
    if (after) return;
    const { view, tool } = this._photo.store.now;
    this._photo.store.set({ view: view === "photo" ? "labels" : view, tool: tool === "box" ? "brush" : tool });
    this._photo.say(notes.length ? notes.map(sentence).join(" ") : "The trimap is ready. Paint where it is wrong.", "good");
  }

  /**
   * Makes a new one when the pen has gone up, where strokes can make it better.
   * @param {number} after the stroke
   */
  soon(after) {
    if (!this._bare.includes(after)) this._bare.push(after);
    this._due = after;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._refine(), PAUSE);
  }

  _refine() {
    const { refining, hasBase, begun } = this._photo.store.now;
    const after = this._due;
    this._due = 0;
    if (refining && hasBase && begun) void this.make({ source: begun }, after);
    else this._bare = [];
  }

  /**
   * Something was undone or done again: what follows from a stroke is made only while that stroke is done, and then for
   * the last such stroke that has none.
   * @param {number} last the last operation that is done
   */
  stepped(last) {
    const { after } = this._asked;
    if (after > last && this._photo.store.now.proposing) {
      this._turn += 1;
      this._asked = { after, isDropped: true };
      this._photo.store.set({ proposing: null });
      if (!this._bare.includes(after)) this._bare.push(after); // after a reload
    }
    clearTimeout(this._timer);
    const due = Math.max(0, ...this._bare.filter((stroke) => stroke <= last));
    const isBeingMade = this._photo.store.now.proposing && this._asked.after === due;
    if (due && !isBeingMade) this.soon(due);
  }

  /** Makes no more. */
  close() {
    clearTimeout(this._timer);
  }
}
