/** An open photo of the page on a server that a test scripts. */
import { OpenPhoto } from "../../../mattecli/server/static/photo.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";

const kept = new Map();
globalThis.sessionStorage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, String(value)), clear: () => kept.clear() };

/** What a server says of a photo. */
export function factOf(fields = {}) {
  return {
    id: "a", name: "a.jpg", width: 300, height: 200, levels: [[300, 200]], bits: 8, linear: false, space: "sRGB",
    readonly: false, takeable: false, sequence: 4, undoable: 4, redoable: 0, band: { inside: 0, outside: 0, reach: 64 },
    painted: 4, matte: null, saved: null, estimate: { exact: 60 }, content: "a's",
    going: { run: null, proposing: null, saving: null, ended: [] }, ...fields,
  };
}

/** The end of all that waits for answers which are there already. */
export async function settled() {
  for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
}

/** A promise, and what ends it. */
export function later() {
  let give;
  const promise = new Promise((done) => (give = done));
  return { promise, give };
}

/**
 * A photo, its store, and what was asked of the server. `answers` are the functions of `Api` that a test scripts.
 */
export function opened({ fact = factOf(), fields = {}, answers = {}, store = new Store(initialFields()), ...parts } = {}) {
  store.set(fields);
  const asked = [];
  const api = {
    tab: "one",
    open: async () => fact,
    findings: async () => ({ findings: [] }),
    operate: async (_, sequence) => ({
      answer: { sequence, refused: "", changed: [], painted: sequence, undoable: sequence, redoable: 0, last: sequence, band: fact.band },
      tiles: [],
    }),
    ...answers,
  };
  const spied = new Proxy(api, {
    get: (of, name) => (typeof of[name] !== "function" ? of[name] : (...how) => (asked.push([name, ...how]), of[name](...how))),
  });
  const range = { level: 0, top: 0, left: 0, bottom: 1, right: 2 };
  const viewer = { invalidate: () => {}, range, visible: { left: 0, top: 0, right: 300, bottom: 200 } };
  const photo = new OpenPhoto({ api: spied, store, viewer, fact, compose: async () => new Uint8ClampedArray(), ...parts });
  return { photo, store, asked, of: (name) => asked.filter(([one]) => one === name).map(([, ...how]) => how) };
}
