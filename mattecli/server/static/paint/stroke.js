/**
 * Operations on their way to the server, and the strokes that are shown until the server's labels have them.
 *
 * Operations are numbered and sent one after another. One that gets no answer is sent again under its number, which the
 * server carries out once. So nothing is lost or done twice, and painting goes on while the server is busy or gone.
 */
import { capsuleSpans, polygonSpans, strokeSpans } from "./raster.js";

/**
 * @typedef {import("./raster.js").BrushPoint} BrushPoint
 * @typedef {{kind: string, [field: string]: unknown}} Operation
 * @typedef {{sequence: number, refused?: string, undoable: number, redoable: number, painted: number,
 *   changed: [number, number][], last: number}} Answer last: the last operation that is done and was not undone
 * @typedef {[lowest: number[], highest: number[]]} ColourRange of sRGB, each channel by itself, both included
 * @typedef {{points: BrushPoint[], closed: boolean, label: number, over: number[], colours?: ColourRange | null}} Shape
 *   a stroke, or a closed outline; over: the labels that it may paint over; colours: those of the photo that it may
 * @typedef {{sequence: number, operation: Operation, shape: Shape | null, state: "waiting" | "sent" | "answered"}} Entry
 * @typedef {{send: (sequence: number, operation: Operation) => Promise<Answer>, sequence: number,
 *   answered: (entry: Entry, answer: Answer) => void, failed: (entry: Entry, error: Error) => void,
 *   behind: () => Promise<number | null>, changed: () => void, wait?: (milliseconds: number) => Promise<void>}} Options
 */

/** Milliseconds before an operation is sent again. */
const PAUSES = [250, 500, 1000, 2000];

/** An answer that says no. Everything else that goes wrong is the network's fault, and is tried again. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} status of HTTP
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class OperationQueue {
  /**
   * @param {Options} options
   *   sequence: the last number the server has; behind: asks the server for that number, after it missed some; null where
   *   another tab has the photo now; changed: called after each change of what is on the way
   */
  constructor(options) {
    this._options = options;
    this._wait = options.wait ?? ((time) => new Promise((done) => setTimeout(done, time)));
    /** @type {Entry[]} in the order of their numbers; answered ones stay while their shape is needed */
    this.entries = [];
    this.last = options.sequence;
    /** Whether the last try got through. */
    this.online = true;
    /** Whether the server cannot take what is on the way: another tab has the photo, or the photo is not there. */
    this.stuck = false;
    this._running = false;
    this._closed = false;
  }

  /** How many operations have no answer yet. */
  get unsent() {
    return this.entries.filter(({ state }) => state !== "answered").length;
  }

  /**
   * @param {Operation} operation
   * @param {Shape | null} [shape] what is shown until the labels have it
   * @returns {Entry}
   */
  add(operation, shape = null) {
    this.last += 1;
    /** @type {Entry} */
    const entry = { sequence: this.last, operation, shape, state: "waiting" };
    this.entries.push(entry);
    this._options.changed();
    void this._run();
    return entry;
  }

  /**
   * Forgets answered operations whose shape is drawn with the server's labels.
   * @param {(entry: Entry) => boolean} drawn
   */
  settle(drawn) {
    this.entries = this.entries.filter((entry) => entry.state !== "answered" || (entry.shape && !drawn(entry)));
  }

  /**
   * Numbers what is on the way anew.
   * @param {number} sequence the last number that the server has
   */
  renumber(sequence) {
    this.last = sequence;
    for (const entry of this.entries) if (entry.state !== "answered") entry.sequence = ++this.last;
  }

  /** Gives up what the server does not have. Says whether there was something. */
  forget() {
    const lost = this.unsent > 0;
    this.entries = this.entries.filter(({ state }) => state === "answered");
    this._options.changed();
    return lost;
  }

  /** Sends nothing more. */
  close() {
    this._closed = true;
  }

  async _run() {
    if (this._running) return;
    this._running = true;
    for (let tries = 0; !this._closed; ) {
      const entry = this.entries.find(({ state }) => state !== "answered");
      if (!entry) break;
      if (await this._try(entry)) tries = 0;
      else await this._wait(PAUSES[Math.min(tries++, PAUSES.length - 1)]);
    }
    this._running = false;
  }

  /** @param {Entry} entry */
  async _try(entry) {
    entry.state = "sent";
    try {
      const answer = await this._options.send(entry.sequence, entry.operation);
      entry.state = "answered";
      this.online = true;
      this.stuck = false;
      if (answer.refused) entry.shape = null;
      this._options.answered(entry, answer);
      return true;
    } catch (error) {
      return await this._mend(entry, /** @type {Error} */ (error));
    } finally {
      this._options.changed();
    }
  }

  /**
   * @param {Entry} entry
   * @param {Error} error
   */
  async _mend(entry, error) {
    const status = error instanceof Refusal ? error.status : 500;
    if (status >= 500) {
      this.online = false;
      return false;
    }
    if (![403, 404, 409].includes(status)) {
      this.entries = this.entries.filter((other) => other !== entry);
      this._options.failed(entry, error);
      return await this._renumber();
    }
    return (await this._renumber()) && status === 409;
  }

  /** Numbers what is on the way anew, from what the server has. It waits while another tab has the photo. */
  async _renumber() {
    try {
      const sequence = await this._options.behind();
      this.online = sequence !== null;
      this.stuck = sequence === null;
      if (sequence === null) return false;
      this.renumber(sequence);
      return true;
    } catch (error) {
      this.online = false;
      this.stuck = error instanceof Refusal;
      return false;
    }
  }
}

/**
 * The pixels of a shape at a level, as spans of rows.
 * @param {Shape} shape
 * @param {number} level
 * @param {import("./raster.js").Size} size of the level
 */
export function shapeSpans(shape, level, size) {
  const points = shape.points.map((point) => atLevel(point, level));
  if (!shape.closed) return strokeSpans(points, size);
  return polygonSpans(
    points.map(([x, y]) => [x, y]),
    size,
  );
}

/**
 * The pixels that the last point adds to a stroke.
 * @param {Shape} shape
 * @param {number} level
 * @param {import("./raster.js").Size} size
 * @returns {number[]}
 */
export function lastSpans(shape, level, size) {
  /** @type {number[]} */
  const spans = [];
  const [before, last] = [shape.points.at(-2) ?? shape.points[0], shape.points[shape.points.length - 1]];
  capsuleSpans(atLevel(before, level), atLevel(last, level), size, spans);
  return spans;
}

/**
 * Paints spans of a level into one of its tiles. Gives the rectangle that they cover, or null.
 * @param {number[]} spans
 * @param {{label: number, over: number[], colours?: ColourRange | null}} how
 * @param {{data: Uint8Array, shares: boolean, left: number, top: number, width: number, height: number,
 *   photo?: Uint8Array}} tile
 * @returns {import("../view/compose.js").Rect | null}
 */
export function paintTile(spans, { label, over, colours }, { data, shares, left, top, width, height, photo }) {
  const rect = { left: width, top: height, right: 0, bottom: 0 };
  const everywhere = over.length === 3 && !(colours && photo);
  for (let i = 0; i < spans.length; i += 3) {
    const row = spans[i] - top;
    const from = Math.max(spans[i + 1] - left, 0);
    const to = Math.min(spans[i + 2] - left, width);
    if (row < 0 || row >= height || from >= to) continue;
    rect.left = Math.min(rect.left, from);
    rect.right = Math.max(rect.right, to);
    rect.top = Math.min(rect.top, row);
    rect.bottom = Math.max(rect.bottom, row + 1);
    for (let at = row * width + from; at < row * width + to; at++) {
      if (!everywhere && !over.includes(labelAt(data, at, shares))) continue;
      if (colours && photo && !inRange(photo, at, colours)) continue;
      if (shares) {
        data[2 * at] = label === 255 ? 255 : 0;
        data[2 * at + 1] = label === 128 ? 255 : 0;
      } else {
        data[at] = label;
      }
    }
  }
  return rect.left < rect.right ? rect : null;
}

/**
 * @param {Uint8Array} photo
 * @param {number} at
 * @param {ColourRange} range
 */
function inRange(photo, at, [lowest, highest]) {
  for (let c = 0; c < 3; c++) if (photo[3 * at + c] < lowest[c] || photo[3 * at + c] > highest[c]) return false;
  return true;
}

/**
 * @param {Uint8Array} data
 * @param {number} at
 * @param {boolean} shares
 */
function labelAt(data, at, shares) {
  if (!shares) return data[at];
  if (data[2 * at + 1] > 127) return 128;
  return data[2 * at] > 127 ? 255 : 0;
}

/**
 * @param {BrushPoint} point
 * @param {number} level
 * @returns {BrushPoint}
 */
function atLevel([x, y, radius], level) {
  const side = 2 ** level;
  return [x / side, y / side, Math.max(radius / side, level ? 0.5 : 0)];
}
