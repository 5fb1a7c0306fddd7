/**
 * The server, as functions. Each photo is named by its opaque id.
 *
 * @typedef {import("./view/tiles.js").Tile} Tile
 * @typedef {import("./view/tiles.js").Layer} Layer
 * @typedef {import("./view/tiles.js").Range} Range
 * @typedef {import("./paint/stroke.js").Operation} Operation
 * @typedef {import("./paint/stroke.js").Answer} Answer
 * @typedef {{inside: number, outside: number, reach: number}} Band
 * @typedef {[left: number, top: number, right: number, bottom: number]} BoxList
 * @typedef {{run: number, kind: "preview" | "exact", sequence: number, box: BoxList | null, error?: number | string | null,
 *   given?: boolean}} Matte given: it was not made here, so files other than the alpha of a batch are not made of it
 * @typedef {{id: string, name: string, state: "untouched" | "started" | "done" | "failed"}} PhotoFact
 * @typedef {{version: string, photos: PhotoFact[], folder: string, can: Record<string, boolean>, products: string[],
 *   saves?: {going: string[], ended: ServerEvent[]}, report?: string | null}} SessionFact
 *   saves: those that go on, and how the last one of each photo ended; report: the name of the batch's report that the photos are from
 * @typedef {{id: string, name: string, content: string, width: number, height: number, levels: [number, number][], bits: number,
 *   linear: boolean, space: string, readonly: boolean, takeable: boolean, sequence: number, undoable: number, redoable: number, band: Band,
 *   painted: number, matte: Matte | null, saved: number | null, estimate: {exact: number}, box?: BoxList | null, going?: Going,
 *   heldBy?: string | null}} OpenFact content: a hash of the photo's file; heldBy: the open photo of which it is a copy, read-only
 * @typedef {{run: import("./state.js").Run | null, proposing: string | null, saving: string | null, ended: ServerEvent[]}} Going
 *   what goes on for the photo; ended: the last event of each kind
 * @typedef {{kind: string, text: string, x: number, y: number, size: number, box: BoxList}} Finding
 * @typedef {{type: string, photo?: string, [field: string]: any}} ServerEvent
 * @typedef {{products: string[], [option: string]: unknown}} SaveWish
 */
import { Refusal } from "./paint/stroke.js";

/** Milliseconds. An operation is answered in some tens of them; later it is sent again. */
const PATIENCE = 20_000;

export class Api {
  /**
   * @param {string} token that the page was given; without it nothing can be changed
   * @param {string} tab a word of this tab's own
   */
  constructor(token, tab) {
    this._token = token;
    this.tab = tab;
  }

  /** @returns {Promise<SessionFact>} */
  session() {
    return this._json("GET", "/app/session");
  }

  /**
   * @param {string} id
   * @param {boolean} [take] whether this tab is to paint it, also where another one does
   * @returns {Promise<OpenFact>}
   */
  open(id, take = false) {
    return this._json("POST", `/app/photos/${id}/open`, { tab: this.tab, take });
  }

  /** @param {string} id */
  close(id) {
    return this._ask("POST", `/app/photos/${id}/close`, { tab: this.tab }, { keepalive: true });
  }

  health() {
    return this._ask("GET", "/app/health");
  }

  /**
   * @param {string} id
   * @param {{layer: Layer, level: number, row: number, column: number}[]} wanted
   * @param {{exposure: number, run?: number, finish?: Record<string, unknown>}} of exposure in stops; the run whose alpha
   *   is meant; how its edges and colours are finished
   * @returns {Promise<Tile[]>} those that exist
   */
  async tiles(id, wanted, { exposure, run, finish }) {
    const exact = wanted[0].layer === "exact";
    const tiles = wanted.map(({ layer, level, row, column }) => [exact ? "alpha" : layer, level, row, column]);
    const answer = await this._ask("POST", `/app/photos/${id}/tiles`, { tiles, exposure, revision: run ?? 0, finish });
    const found = unpacked(await answer.arrayBuffer()).tiles;
    return exact ? found.map((tile) => ({ ...tile, layer: /** @type {const} */ ("exact") })) : found;
  }

  /**
   * @param {string} id
   * @param {number} sequence
   * @param {Operation} operation
   * @param {Range} visible
   * @returns {Promise<{answer: Answer & {band: Band}, tiles: Tile[]}>}
   */
  async operate(id, sequence, operation, visible) {
    const body = { sequence, ...operation, visible };
    const answer = await this._ask("POST", `/app/photos/${id}/operations`, body);
    const { facts, tiles } = unpacked(await answer.arrayBuffer());
    return { answer: /** @type {Answer & {band: Band}} */ (facts), tiles };
  }

  /**
   * @param {string} id
   * @param {{source: string, box?: BoxList, colour?: string}} from
   * @returns {Promise<{proposal: string}>}
   */
  propose(id, from) {
    return this._json("POST", `/app/photos/${id}/proposals`, from);
  }

  /**
   * A mask, trimap, matte or cut-out as the base.
   * @param {string} id
   * @param {Blob} file
   * @returns {Promise<{proposal: string}>}
   */
  async base(id, file) {
    const answer = await this._ask("PUT", `/app/photos/${id}/base`, file);
    return await answer.json();
  }

  /**
   * @param {string} id
   * @param {"preview" | "exact"} kind
   * @param {BoxList} [box] what is in view
   * @returns {Promise<{run: number}>}
   */
  matte(id, kind, box) {
    return this._json("POST", `/app/photos/${id}/mattes`, { kind, box });
  }

  /**
   * @param {string} id
   * @param {number} run
   */
  cancel(id, run) {
    return this._ask("DELETE", `/app/photos/${id}/mattes/${run}`);
  }

  /**
   * Says whether a pointer is down on the picture.
   * @param {boolean} down
   */
  pointer(down) {
    return this._ask("POST", "/app/pointer", { down });
  }

  /**
   * @param {string} id
   * @returns {Promise<{sequence: number, findings: Finding[]}>}
   */
  findings(id) {
    return this._json("GET", `/app/photos/${id}/findings`);
  }

  /**
   * @param {string} id
   * @param {SaveWish} wish
   * @returns {Promise<{save: string, run: number | null}>} run: the exact matte that it waits for
   */
  save(id, wish) {
    return this._json("POST", `/app/photos/${id}/save`, wish);
  }

  /**
   * @param {string} id
   * @param {string} product
   * @param {Record<string, unknown>} options
   */
  downloadAddress(id, product, options) {
    return `/app/photos/${id}/download/${product}?${query(options)}`;
  }

  /**
   * The command line that gives the same files.
   * @param {string} id
   * @param {Record<string, unknown>} options
   * @returns {Promise<{command: string}>}
   */
  command(id, options) {
    return this._json("GET", `/app/photos/${id}/command?${query(options)}`);
  }

  /**
   * The server's events, from now on.
   * @param {(event: ServerEvent) => void} react
   * @param {(open: boolean, ended?: boolean) => void} connected ended: the browser tries no more by itself
   * @returns {() => void} ends them
   */
  events(react, connected) {
    const source = new EventSource(`/app/events?tab=${encodeURIComponent(this.tab)}`);
    source.onopen = () => connected(true);
    source.onerror = () => connected(false, source.readyState === EventSource.CLOSED);
    source.onmessage = ({ data }) => react(JSON.parse(data));
    return () => source.close();
  }

  /** Whether the server has another token now, as after a restart at the same port. It is taken over. */
  async _renewed() {
    const answer = await fetch("/");
    const token = answer.ok ? tokenIn(await answer.text()) : undefined;
    const other = token !== undefined && token !== this._token;
    if (other) this._token = token;
    return other;
  }

  /**
   * @param {string} method
   * @param {string} address
   * @param {object | Blob} [body]
   * @returns {Promise<any>}
   */
  async _json(method, address, body) {
    return await (await this._ask(method, address, body)).json();
  }

  /**
   * @param {string} method
   * @param {string} address
   * @param {object | Blob} [body]
   * @param {RequestInit} [more]
   */
  async _ask(method, address, body, more = {}) {
    /** @type {Record<string, string>} */
    const headers = { "X-Matte-Tab": this.tab };
    if (method !== "GET") headers["X-Matte-Token"] = this._token;
    const raw = body instanceof Blob;
    if (body !== undefined) headers["Content-Type"] = raw ? "application/octet-stream" : "application/json";
    const slow = raw || more.keepalive || address.endsWith("/open"); // a large photo's mask is measured meanwhile
    const signal = slow ? undefined : AbortSignal.timeout(PATIENCE);
    const sent = raw || body === undefined ? /** @type {Blob | undefined} */ (body) : JSON.stringify(body);
    let answer = await fetch(address, { method, headers, signal, body: sent, ...more });
    if (answer.status === 403 && method !== "GET" && (await this._renewed())) {
      headers["X-Matte-Token"] = this._token;
      answer = await fetch(address, { method, headers, signal, body: sent, ...more });
    }
    if (!answer.ok) throw new Refusal(await reasonOf(answer), answer.status);
    return answer;
  }
}

/**
 * What a page of the server says its token is.
 * @param {string} text of HTML
 */
function tokenIn(text) {
  return /name="matte-token" content="([^"]*)"/.exec(text)?.[1];
}

/**
 * @param {ArrayBuffer} buffer length of the JSON, the JSON, and the bytes of its tiles
 * @returns {{facts: any, tiles: Tile[]}}
 */
export function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const tiles = facts.tiles.map((/** @type {any} */ fact) => {
    const data = new Uint8Array(buffer.slice(at, at + fact.bytes));
    at += fact.bytes;
    return { ...fact, data };
  });
  return { facts, tiles };
}

/** @param {Response} answer */
async function reasonOf(answer) {
  try {
    return (await answer.json()).error ?? `the server answered ${answer.status}`;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

/** @param {Record<string, unknown>} options */
function query(options) {
  const pairs = Object.entries(options).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
}
