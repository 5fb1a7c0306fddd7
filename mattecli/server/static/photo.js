/**
 * The open photo: what is painted and proposed, between the store, the scene and the server.
 */
import { ended } from "./events.js";
import { Mattes } from "./mattes.js";
import { Proposals } from "./proposals.js";
import { sentence } from "./sentence.js";
import { reopened, takeOver } from "./reopening.js";
import { Saves } from "./saves.js";
import { Store, lightOf } from "./state.js";
import { OperationQueue } from "./paint/stroke.js";
import { Scene } from "./view/scene.js";

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./api.js").OpenFact} OpenFact
 * @typedef {import("./api.js").ServerEvent} ServerEvent
 * @typedef {import("./state.js").Store<import("./state.js").Fields>} PageStore
 * @typedef {import("./view/viewer.js").Viewer} Viewer
 * @typedef {import("./paint/stroke.js").Operation} Operation
 * @typedef {import("./paint/stroke.js").Shape} Shape
 * @typedef {{api: Api, store: PageStore, viewer: Viewer, fact: OpenFact,
 *   compose: import("./view/scene.js").Options["compose"], saves?: Saves, anew?: (id: string, text: string) => void}} Parts
 *   anew: opens the photo anew, for its file is another one, and says so
 */

/** Layers of a matte, which are those of its run. */
const MATTED = new Set(["alpha", "finished", "colours"]);

export class OpenPhoto {
  /** @param {Parts} parts */
  constructor({ api, store, viewer, fact, compose, saves = new Saves(), anew = () => {} }) {
    this.api = api;
    /** What the page shows; once the photo is left, fields that nobody sees, so that late answers change nothing. */
    this.store = store;
    this._page = store;
    this.saves = saves;
    this.name = fact.name;
    this.content = fact.content;
    this.anew = anew;
    this.closed = false;
    /** @type {OpenFact | null} what the page showed when the photo was left */
    this._left = null;
    /** Counts what the server tells of the photo. An older answer counts no more. */
    this.heard = 0;
    /** What the server refused last with, as it was said. */
    this.refusal = "";
    this.viewer = viewer;
    this.id = fact.id;
    this.queue = new OperationQueue({
      sequence: fact.sequence,
      send: (sequence, operation) => this._send(sequence, operation),
      answered: (entry, answer) => this._answered(entry, answer),
      failed: (_, error) => this.say(error.message, "bad"),
      behind: async () => {
        const now = await reopened(this);
        if (!now) return null;
        this.sync(now);
        return now.readonly ? null : now.sequence;
      },
      changed: () => this.store.set({ unsent: this.queue?.unsent ?? 0, online: this.queue?.online ?? true, stuck: this.queue?.stuck ?? false }),
    });
    this.scene = new Scene({
      levels: fact.levels,
      fetch: (wanted) => this._fetch(wanted), refused: (text) => this.say(sentence(text), "bad"),
      changed: () => viewer.invalidate(),
      compose,
      pending: () => this.queue.entries,
    });
    this.mattes = new Mattes(this);
    this.proposals = new Proposals(this);
    const begun = JSON.parse(sessionStorage.getItem(`begun/${fact.id}`) ?? "{}"); // before a reload
    if (begun.box && fact.painted) store.set({ box: begun.box });
    store.set({ begun: fact.painted ? (begun.source ?? null) : null });
    this._show(fact);
    const { going } = fact;
    store.set({ unsent: 0, online: true, stuck: false });
    for (const event of going?.ended ?? []) {
      if (saves.awaits(event.save) && saves.end(event)) ended(this, event, ""); // it was saved, left and opened again
    }
    if (!going || fact.readonly) return;
    store.set({ run: going.run, saving: going.saving }); // before a reload
    this.proposals.resume(going);
  }

  /**
   * Takes over what the server says of the photo after a pause.
   * @param {OpenFact} fact
   */
  sync(fact) {
    const { painted, matte } = this.store.now;
    this._show(fact);
    if (fact.painted !== painted || (matte && !fact.matte)) this.mattes.soon();
  }

  /** @param {OpenFact} fact */
  _show(fact) {
    const { painted, undoable, redoable, band, matte, saved } = fact;
    const hasBase = band.reach > 0;
    if (painted !== this.store.now.painted) this.scene.renewLabels(); // another tab painted
    const box = this.store.now.box ?? fact.box ?? null;
    this.scene.band = null;
    this.store.set({ photo: fact, painted, undoable, redoable, band, matte, saved, hasBase, box });
    this.store.set({ estimate: fact.estimate?.exact ?? null });
    this.scene.showMatte(matte);
    if (matte?.kind === "exact") void this.mattes.find(matte.run);
  }

  /**
   * @param {string} text
   * @param {"good" | "bad" | "plain"} [kind]
   */
  say(text, kind = "plain") {
    this.store.set({ message: { text, kind } });
  }

  /**
   * Says something that matters also after the photo was left; then with its name.
   * @param {string} text
   * @param {"good" | "bad"} kind
   * @param {string} [name] of another photo
   */
  tell(text, kind, name = this.closed ? this.name : "") {
    this._page.set({ message: { text: name ? `${name}: ${text}` : text, kind } });
  }

  /**
   * @param {import("./view/fetcher.js").Wanted[]} wanted of layers that are asked for together
   * @returns {Promise<import("./view/tiles.js").Tile[]>}
   */
  async _fetch(wanted) {
    const { layer } = wanted[0];
    const { matte, exact, finish } = this.scene;
    const run = layer === "exact" ? exact?.run : MATTED.has(layer) ? matte?.run : undefined;
    const finished = layer === "finished" || layer === "colours" ? (finish ?? undefined) : undefined;
    const { exposure } = lightOf(this.store.now);
    const tiles = await this.api.tiles(this.id, wanted, { exposure, run, finish: finished });
    if (finished && finish !== this.scene.finish) throw new Error("the edges were changed meanwhile");
    return tiles.map((tile) => (tile.layer === "photo" ? { ...tile, revision: exposure } : tile));
  }

  // Painting

  /**
   * @param {Operation} operation
   * @param {Shape | null} [shape]
   */
  do(operation, shape = null) {
    if (this.store.now.photo?.readonly) return void this.refuse();
    const entry = this.queue.add(operation, shape);
    this.viewer.invalidate();
    return entry;
  }

  /** @returns {void} */
  refuse() {
    const { photo } = this.store.now;
    const where = photo?.heldBy ? `This photo is a copy of ${photo.heldBy}, which is open` : "This photo is open in another `matte ui`";
    this.say(photo?.takeable ? "Another tab paints this photo. Press Take over to paint here." : `${where}, so it is read-only here. The page notices when it is free.`, "bad");
  }

  /** This tab paints the photo from now on; another one no longer does. */
  takeOver() {
    return takeOver(this);
  }

  /** Another tab paints the photo from now on. */
  taken() {
    const { photo } = this.store.now;
    if (!photo || photo.readonly) return;
    this.scene.band = null; this.proposals.drop();
    this.store.set({ photo: { ...photo, readonly: true, takeable: true } });
    this.say("Another tab has taken over this photo, so it is read-only here.", "bad");
  }

  /** @param {Shape} shape */
  paint(shape) {
    const { points, label, closed } = shape;
    const kind = closed ? "polygon" : "stroke";
    this.do({ kind, points: closed ? points.map(([x, y]) => [x, y]) : points, label, ...restrictionOf(shape) }, shape);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {Shape} shape label and restriction
   */
  fill(x, y, shape) {
    this.do({ kind: "fill", x, y, label: shape.label, ...restrictionOf(shape) });
  }

  undo() {
    if (this.store.now.undoable + this.queue.unsent === 0) return this.say("There is nothing to undo.");
    this.do({ kind: "undo" });
  }

  redo() {
    if (this.store.now.redoable + this.queue.unsent === 0) return this.say("There is nothing to redo.");
    this.do({ kind: "redo" });
  }

  /**
   * Shows another band, or lays it; null shows the one that is laid.
   * @param {{inside: number, outside: number} | null} band
   * @param {boolean} [laid]
   */
  band(band, laid = false) {
    const isRefused = laid && band !== null && !this.do({ kind: "band", inside: band.inside, outside: band.outside });
    this.scene.band = isRefused ? null : band;
    if (isRefused) this.store.set({ band: { ...this.store.now.band } }); // the sliders go back
    this.viewer.invalidate();
  }

  /**
   * @param {number} sequence
   * @param {Operation} operation
   */
  async _send(sequence, operation) {
    const { answer, tiles } = await this.api.operate(this.id, sequence, operation, this.viewer.range);
    this.scene.cache.changed(answer.changed, answer.sequence);
    this.scene.accept(tiles);
    return answer;
  }

  /**
   * @param {import("./paint/stroke.js").Entry} entry
   * @param {import("./paint/stroke.js").Answer} answer
   */
  _answered({ sequence, operation }, answer) {
    this.heard += 1;
    const { painted, undoable, redoable, band } = /** @type {OpenFact} */ (/** @type {unknown} */ (answer));
    const { kind, label } = operation;
    const isOther = kind === "base" || kind === "undo" || kind === "redo";
    if (kind === "band" || isOther || answer.refused) this.scene.band = null;
    if (isOther) this.scene.renewBase();
    if (answer.refused) this.say(sentence(answer.refused), "bad");
    this.store.set({ painted, undoable, redoable, band, hasBase: band.reach > 0 });
    this.queue.settle((entry) => this.scene.drawn(entry));
    if (kind === "undo" || kind === "redo") this.proposals.stepped(answer.last);
    else if (answer.last === answer.sequence) this.proposals.did(answer.last);
    if (painted !== answer.sequence) return; // it changed no label
    const refines = (kind === "stroke" || kind === "polygon" || kind === "fill") && label !== 128;
    if (refines) this.proposals.soon(sequence);
    this.mattes.soon();
  }

  /** Forgets strokes that the labels on the screen have. To be called for each frame. */
  settle() {
    if (this.queue.entries.length) this.queue.settle((entry) => this.scene.drawn(entry));
  }

  /** Waits until the server has every operation. Throws an error where it cannot take them. */
  async sent() {
    while (this.queue.unsent && !this.closed) {
      if (this.queue.stuck) throw new Error(this._unsent());
      await new Promise((done) => setTimeout(done, 30));
    }
  }

  _unsent() {
    const { unsent } = this.queue;
    const why = this.store.now.photo?.readonly ? "the photo is open elsewhere" : "the server cannot open the photo";
    return `${unsent} ${unsent === 1 ? "change is" : "changes are"} not sent, because ${why}`;
  }

  /** Whether the page shows the photo again, after this one was left. */
  get isBack() {
    const { photo } = this._page.now;
    return this._left !== null && photo !== this._left && photo?.id === this.id;
  }

  /**
   * Notes in the film strip how far a photo is.
   * @param {string} id
   * @param {import("./api.js").PhotoFact["state"]} state
   */
  mark(id, state) {
    const { session } = this._page.now;
    if (!session) return;
    const photos = session.photos.map((one) => (one.id === id ? { ...one, state } : one));
    this._page.set({ session: { ...session, photos } });
  }

  /** Stops sending, and leaves in the film strip what became of the photo. */
  close() {
    const { painted, saved } = this.store.now;
    if (painted) this.mark(this.id, saved === painted ? "done" : "started");
    this.mattes.close();
    this.proposals.close();
    this.queue.close();
    this.closed = true;
    this._left = this._page.now.photo;
    this.store = new Store({ ...this.store.now });
  }
}

/** @param {Shape} shape */
function restrictionOf({ over, colours }) {
  return over.length < 3 || colours ? { restriction: { over, colours: colours ?? null } } : {};
}
