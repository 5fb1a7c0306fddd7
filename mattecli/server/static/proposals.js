/** The trimaps that are proposed for the open photo: asked for, waited for and laid under the paint. */
import { sentence } from "./sentence.js";

const PAUSE = 300; // milliseconds after the pen went up

/**
 * @typedef {{after: number, isDropped: boolean, source: string | null, box: import("./api.js").BoxList | null,
 *   proposal: string | null}} Asked
 *   after: the stroke that a proposal followed from, 0 for one that a person asked for; isDropped: that stroke was undone;
 *   source: what it is made from, if strokes can make it better; proposal: its word, until its end is known
 */

/** @type {Asked} */
const NOTHING = { after: 0, isDropped: false, source: null, box: null, proposal: null };

export class Proposals {
  /** @param {import("./photo.js").OpenPhoto} photo */
  constructor(photo) {
    this._photo = photo;
    this._timer = 0;
    this._due = 0; // the stroke from which a proposal is to follow, 0 for none
    this._again = false; // whether the one that a person asked for is asked for anew, to know what was painted meanwhile
    /** @type {number[]} the strokes that no proposal that was laid knew of */
    this._bare = [];
    this._last = Infinity; // the last operation that is done; those above it in `_bare` are undone
    this._turn = 0;
    /** @type {Map<string, import("./api.js").ServerEvent>} events that came before the answer that names the proposal */
    this._early = new Map();
  }

  /** What was last asked for, also after a reload. @returns {Asked} */
  get _asked() {
    return { ...NOTHING, ...JSON.parse(sessionStorage.getItem(`proposed/${this._photo.id}`) ?? "{}") };
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
   * The photo was opened: goes on with a proposal that is being made, or lays one that was made meanwhile.
   * @param {import("./api.js").Going} going
   */
  resume({ proposing, ended }) {
    const { proposal, isDropped } = this._asked;
    const missed = proposing || isDropped ? undefined : ended.find((event) => event.proposal && event.proposal === proposal);
    this._photo.store.set({ proposing: missed ? proposal : this.adopted(proposing) });
    if (missed) queueMicrotask(() => this.told(missed)); // once the page shows the photo
  }

  /**
   * @param {{source: string, colour?: string}} from
   * @param {number} [after] the stroke that it follows from
   */
  async make(from, after = 0) {
    const { box } = this._photo.store.now;
    const painted = from.source === "box" || from.source === "strokes";
    const whole = box && painted ? { ...from, box } : from;
    const asked = { ...NOTHING, after, source: painted ? from.source : null, box };
    await this._proposed(() => this._photo.api.propose(this._photo.id, whole), asked);
  }

  /** @param {Blob} file a mask, trimap, matte or cut-out */
  async layFile(file) {
    const asked = { ...NOTHING, box: this._photo.store.now.box };
    await this._proposed(() => this._photo.api.base(this._photo.id, file), asked);
  }

  /**
   * @param {() => Promise<{proposal: string}>} ask
   * @param {Asked} asked
   */
  async _proposed(ask, asked) {
    const turn = ++this._turn;
    this._asked = asked;
    this._early.clear();
    this._photo.store.set({ proposing: "…" });
    try {
      await this._photo.sent();
      if (turn !== this._turn) return;
      if (!asked.after) this._stop(); // it knows all that is painted
      const { proposal } = await ask();
      if (turn !== this._turn) return;
      if (!this._photo.isBack) this._asked = { ...asked, proposal }; // also where the photo was left
      this._photo.store.set({ proposing: proposal });
      const early = this._early.get(proposal);
      if (early) this.told(early);
    } catch (error) {
      if (turn !== this._turn) return;
      this._photo.store.set({ proposing: null });
      this._photo.say(sentence(/** @type {Error} */ (error).message), "bad");
    }
  }

  /** The one that is being made is not for this page any more. */
  drop() {
    this._turn += 1;
    this._photo.store.set({ proposing: null });
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
    if (!error && this._again) return; // it does not know all strokes
    this._asked = { ...this._asked, proposal: null };
    if (!error) return this.lay({ proposal, inside, outside, notes: notes ?? [] });
    this._again = false;
    this._photo.store.set({ proposing: null });
    if (!cancelled) this._photo.say(sentence(error), "bad");
  }

  /**
   * A proposal is ready: lays it under the paint.
   * @param {{proposal: string, inside: number, outside: number, notes: string[]}} made
   */
  lay({ proposal, inside, outside, notes }) {
    const { after, source, box } = this._asked;
    this._bare = after ? this._bare.filter((stroke) => stroke > after) : []; // a stroke that was undone may be done again
    if (!after) {
      this._stop();
      sessionStorage.setItem(`begun/${this._photo.id}`, JSON.stringify({ source, box }));
      this._photo.store.set({ begun: source, box: this._photo.store.now.box ?? box });
    }
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
    this._again ||= this._outdated;
    this._wait();
  }

  /** Whether a proposal that a person asked for is being made, which paint can make better. */
  get _outdated() {
    const { refining, proposing } = this._photo.store.now;
    const { after, source } = this._asked;
    return refining && proposing !== null && !after && source !== null;
  }

  _wait() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._refine(), PAUSE);
  }

  _stop() {
    clearTimeout(this._timer);
    this._due = 0;
    this._again = false;
  }

  _refine() {
    const { refining, hasBase, begun, proposing } = this._photo.store.now;
    const { after: from, source } = this._asked;
    if (this._again && source) return void this.make({ source });
    if (proposing && !from) return this._wait(); // nothing takes the place of what a person asked for
    const after = this._due;
    this._due = 0;
    if (refining && hasBase && begun) void this.make({ source: begun }, after);
    else this._bare = [];
  }

  /**
   * An operation was done that can be undone by itself. What was undone before it is forgotten.
   * @param {number} sequence
   */
  did(sequence) {
    this._bare = this._bare.filter((stroke) => stroke <= this._last);
    this._last = sequence;
  }

  /**
   * Something was undone or done again: what follows from a stroke is made only while that stroke is done, and then for
   * the last such stroke that has none.
   * @param {number} last the last operation that is done
   */
  stepped(last) {
    const { after } = this._asked;
    this._last = last;
    if (after > last && this._photo.store.now.proposing) {
      this._turn += 1;
      this._asked = { ...NOTHING, after, isDropped: true };
      this._photo.store.set({ proposing: null });
      if (!this._bare.includes(after)) this._bare.push(after); // after a reload
    }
    clearTimeout(this._timer);
    const due = Math.max(0, ...this._bare.filter((stroke) => stroke <= last));
    const isBeingMade = this._photo.store.now.proposing && this._asked.after === due;
    if (due && !isBeingMade) this.soon(due);
    this._again ||= this._outdated;
    if (this._again) this._wait();
  }

  /** Makes no more. */
  close() {
    clearTimeout(this._timer);
  }
}
