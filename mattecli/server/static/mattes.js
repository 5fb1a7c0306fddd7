/** The mattes of the open photo: made, waited for, judged and saved. */
import { ended } from "./events.js";
import { sentence } from "./sentence.js";

const PAUSE = 700; // milliseconds after the last change before a matte is made
const SHORT_RUN = 10; // seconds; an exact run that takes less starts by itself
const MOST_PREVIEWED = 2 ** 21; // pixels; larger parts are previewed as a whole

export class Mattes {
  /** @param {import("./photo.js").OpenPhoto} photo */
  constructor(photo) {
    this._photo = photo;
    this._timer = 0;
    /** Whether the photo is left when it is saved. */
    this.accepting = false;
    this._found = 0; // the run whose doubtful places are asked for
    /** @type {Set<number>} runs that have ended, maybe before the answer that names them */
    this._ended = new Set();
  }

  /** The run that a person asked for, whose end is told, also after a reload; 0 for none. */
  get asked() {
    return Number(sessionStorage.getItem(`asked/${this._photo.id}`) ?? 0);
  }

  set asked(run) {
    sessionStorage.setItem(`asked/${this._photo.id}`, String(run));
  }

  /** Makes a matte when nothing has changed for a moment. */
  soon() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._now(), PAUSE);
  }

  _now() {
    const { automatic, hasBase, matte, painted, run, estimate, proposing, photo } = this._photo.store.now;
    if (!automatic || photo?.readonly || !(hasBase || matte)) return;
    if (matte?.sequence === painted && (matte.kind === "exact" || this._covers(matte))) return;
    if (this._photo.scene.live.current || this._photo.queue.unsent || proposing) return this.soon();
    if (estimate !== null && estimate < SHORT_RUN) void this.make("exact");
    else if (run?.kind !== "exact") void this.make("preview");
  }

  /** The picture was moved: a preview may be of another part. */
  moved() {
    const { matte } = this._photo.store.now;
    if (matte?.kind === "preview" && !this._covers(matte)) this.soon();
  }

  /**
   * Whether a matte has all that is in view.
   * @param {import("./api.js").Matte} matte
   */
  _covers({ box }) {
    const { left, top, right, bottom } = this._photo.viewer.visible;
    return !box || (box[0] <= left && box[1] <= top && box[2] >= right && box[3] >= bottom);
  }

  /**
   * @param {"preview" | "exact"} kind
   * @param {boolean} [asked] whether a person asked for it
   */
  async make(kind, asked = false) {
    const { left, top, right, bottom } = this._photo.viewer.visible;
    const small = (right - left) * (bottom - top) <= MOST_PREVIEWED;
    try {
      await this._photo.sent();
      const { run } = await this._photo.api.matte(this._photo.id, kind, kind === "preview" && small ? [left, top, right, bottom] : undefined);
      if (asked) this.asked = run;
      if (this._photo.closed && !asked) return void (await this._photo.api.cancel(this._photo.id, run));
      this._begun(run, kind);
    } catch (error) {
      this._photo.say(sentence(/** @type {Error} */ (error).message), "bad");
    }
  }

  /** @param {number} run that has ended, with a matte or without */
  ended(run) {
    this._ended.add(run);
  }

  /**
   * A run has begun, or one that goes on is waited for.
   * @param {number} run
   * @param {"preview" | "exact"} kind
   */
  _begun(run, kind) {
    const { matte, run: known } = this._photo.store.now;
    if (!this._ended.has(run) && matte?.run !== run && known?.run !== run) this._photo.store.set({ run: { run, kind, share: 0, left: null } });
  }

  /** Shows the matte instead of the labels that it was made from. */
  show() {
    const { view } = this._photo.store.now;
    this._photo.store.set({ view: view === "labels" || view === "trimap" ? "cutout" : view });
    this._photo.say("The exact matte is ready.", "good");
  }

  cancel() {
    const { run } = this._photo.store.now;
    if (run) void this._photo.api.cancel(this._photo.id, run.run).catch((error) => this._photo.say(error.message, "bad"));
  }

  /** @param {number} run that has doubtful places */
  async find(run) {
    if (run === this._found) return;
    this._found = run;
    try {
      const { findings } = await this._photo.api.findings(this._photo.id);
      if (run === this._found) this._photo.store.set({ findings, finding: -1 });
    } catch {
      if (run !== this._found) return;
      this._found = 0;
      this._photo.store.set({ findings: null, finding: -1 }); // they can be asked for again with the next matte
    }
  }

  /** @param {import("./api.js").SaveWish} wish */
  async save(wish) {
    if (this._photo.store.now.saving) return;
    this._photo.store.set({ saving: "…" });
    try {
      await this._photo.sent();
      const { save, run } = await this._photo.api.save(this._photo.id, wish);
      const early = this._photo.saves.begin(save, this._photo.name);
      if (early && this._photo.closed) ended(this._photo, early, this._photo.name);
      if (this._photo.store.now.saving !== "…") return; // its end came before this answer
      this._photo.store.set({ saving: save });
      if (run) this._begun(run, "exact");
    } catch (error) {
      this._photo.store.set({ saving: null });
      this.accepting = false;
      this._photo.tell(sentence(/** @type {Error} */ (error).message), "bad");
    }
  }

  /** Approves the matte for the batch. The page then goes on to the next photo. */
  async accept() {
    this.accepting = true;
    await this.save({ products: ["alpha"] });
  }

  /** Starts no more, and ends a run that nobody asked for. */
  close() {
    clearTimeout(this._timer);
    const { run, saving } = this._photo.store.now;
    if (run && run.run !== this.asked && !saving) void this._photo.api.cancel(this._photo.id, run.run).catch(() => undefined);
  }
}
