import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { react } from "../../../mattecli/server/static/events.js";
import { Refusal } from "../../../mattecli/server/static/paint/stroke.js";
import { factOf, opened, settled } from "./photos.mjs";

const base = { inside: 0, outside: 0, reach: 64 };
const box = [1, 2, 30, 40];
const stroke = { points: [[9, 9, 4]], closed: false, label: 255, over: [0, 128, 255] };
const rest = () => new Promise((done) => setTimeout(done, 350));

/** @type {import("../../../mattecli/server/static/photo.js").OpenPhoto[]} */
const photos = [];
afterEach(() => {
  photos.splice(0).forEach((photo) => photo.close()); // no timer goes on
  sessionStorage.clear();
});

/** Operations as the server carries them out. `laid` are the strokes whose proposal became a part of them. */
function history() {
  const done = [1, 2, 3, 4].map((number) => ({ number, isBase: false }));
  let undone = [];
  const laid = [];
  const operate = async (_, sequence, { kind, after }) => {
    let changes = true;
    if (kind === "undo") undone.push(done.pop());
    else if (kind === "redo") done.push(undone.pop());
    else if (!after) {
      done.push({ number: sequence, isBase: kind === "base" });
      undone = [];
    } else {
      const at = done.findIndex(({ number }) => number === after);
      const since = at < 0 ? [] : [...done.slice(at), ...undone];
      changes = since.length > 0 && since.every(({ isBase }) => !isBase);
      if (changes) done[at].isBase = true;
      if (changes) laid.push(after);
    }
    const counts = { undoable: done.length, redoable: undone.length, last: done.at(-1).number };
    return { answer: { sequence, refused: "", changed: [], painted: changes ? sequence : 0, band: base, ...counts }, tiles: [] };
  };
  return { operate, laid, done: () => done.map(({ number, isBase }) => `${number}${isBase ? " base" : ""}`).slice(4) };
}

/** A photo that a proposal from a box lies under, on such a server. `end` tells how the newest proposal ended. */
function begun({ answers = {}, fields = { begun: "box", hasBase: true, box }, ...parts } = {}) {
  const server = history();
  let number = 0;
  const propose = async () => ({ proposal: `p${++number}` });
  const made = opened({ answers: { propose, operate: server.operate, cancel: async () => ({}), ...answers }, ...parts });
  made.store.set({ ...fields });
  photos.push(made.photo);
  const end = async (facts = {}, name = `p${number}`) => {
    react(made.photo, { type: "proposal", photo: "a", proposal: name, inside: 0, outside: 0, notes: [], ...facts }, () => {});
    await settled();
  };
  const paint = async (shape = stroke) => (made.photo.paint(shape), await settled());
  const undo = async () => (made.photo.undo(), await settled());
  return { ...made, server, end, paint, undo };
}

test("a mask that was laid is not replaced by a proposal from the box before, also after a reload", async () => {
  const before = begun({ answers: { base: async () => ({ proposal: "m" }) } });
  await before.photo.proposals.make({ source: "box" });
  await before.end();
  await before.photo.proposals.layFile(new Blob(["x"]));
  await before.end({}, "m");
  assert.equal(before.store.now.begun, null);
  before.photo.close();
  const { store, of, paint } = begun({ fact: factOf({ sequence: 6, painted: 6 }), fields: {} });
  assert.deepEqual([store.now.begun, store.now.box], [null, box]);
  await paint();
  await rest();
  assert.deepEqual(of("propose"), []);
});

test("strokes go on refining where a mask is refused or no subject is found", async () => {
  const refused = begun({ answers: { base: async () => Promise.reject(new Refusal("the mask is 3×3 but the photo 300×200", 400)) } });
  await refused.photo.proposals.layFile(new Blob(["x"]));
  assert.match(refused.store.now.message.text, /3×3/);
  const failed = begun();
  await failed.photo.proposals.make({ source: "auto" });
  await failed.end({ error: "no subject was found" });
  for (const { store, of, paint } of [refused, failed]) {
    assert.equal(store.now.begun, "box");
    await paint();
    await rest();
    assert.deepEqual(of("propose").at(-1), ["a", { source: "box", box }]);
  }
});

test("a proposal that was made while the photo was left is laid, and strokes then refine it", async () => {
  for (const drops of [false, true]) {
    sessionStorage.clear();
    const before = begun({ fields: { box } });
    if (drops) await before.paint();
    await before.photo.proposals.make({ source: "box" }, drops ? 5 : 0);
    if (drops) await before.undo();
    before.photo.close();
    const ended = [{ type: "proposal", photo: "a", proposal: "p1", inside: 0, outside: 0, notes: [] }];
    const going = { run: null, proposing: null, saving: null, ended };
    const { store, server, of, paint } = begun({ fact: factOf({ painted: 0, going }), fields: {} });
    await settled();
    assert.deepEqual([server.done(), store.now.proposing], [drops ? [] : ["5 base"], null]);
    if (drops) continue;
    assert.deepEqual([store.now.begun, store.now.box], ["box", box]);
    await paint();
    await rest();
    assert.deepEqual(of("propose"), [["a", { source: "box", box }]]);
    const after = begun({ fact: factOf({ painted: 6, going }), fields: {} });
    await settled();
    assert.deepEqual(after.server.done(), [], "it is laid once");
  }
});

test("the failure of a proposal while the photo was left is told", async () => {
  const before = begun();
  await before.photo.proposals.make({ source: "box" });
  before.photo.close();
  const ended = [{ type: "proposal", photo: "a", proposal: "p1", error: "no subject was found" }];
  const { store } = begun({ fact: factOf({ going: { run: null, proposing: null, saving: null, ended } }) });
  await settled();
  assert.deepEqual([store.now.message.text, store.now.proposing], ["No subject was found.", null]);
});

test("of strokes that were taken back, those that were forgotten since are not refined", async () => {
  const { server, of, end, paint, undo } = begun();
  await paint(); // 5
  await paint(); // 6
  await undo();
  await rest();
  await paint({ ...stroke, label: 128 }); // 8: stroke 6 is forgotten
  await paint(); // 9
  await rest();
  await undo();
  await rest();
  await end();
  assert.deepEqual([server.laid, of("propose").length], [[5], 3]);
  assert.deepEqual(server.done(), ["5 base", "8"]);
});

test("what a person proposed is asked for again with the strokes that came meanwhile, and is undone by itself", async () => {
  const { photo, store, server, of, end, paint, undo } = begun({ fields: { box } }); // the first one
  const made = () => of("propose").length;
  await photo.proposals.make({ source: "box" });
  await paint();
  await end(); // it does not know the stroke
  await rest();
  assert.equal(made(), 2);
  await undo();
  await end(); // it knows a stroke that was taken back
  await rest();
  assert.equal(made(), 3);
  await paint();
  await rest();
  await end();
  assert.deepEqual([server.done(), made(), store.now.proposing], [["7", "8 base"], 4, null]);
  await undo();
  await rest();
  assert.deepEqual([server.done(), made()], [["7"], 4]);
});

test("a stroke just before Propose asks for no refinement of its own", async () => {
  const { photo, server, of, end, paint } = begun();
  await paint();
  await photo.proposals.make({ source: "box" });
  await rest();
  await end();
  await rest();
  assert.deepEqual([server.done(), of("propose").length], [["5", "6 base"], 1]);
});

test("strokes wait for a mask that is being laid, and refine what is there where it fails", async () => {
  for (const fails of [false, true]) {
    const { photo, store, of, end, paint } = begun({ answers: { base: async () => ({ proposal: "m" }) } });
    await photo.proposals.layFile(new Blob(["x"]));
    await paint();
    await rest();
    assert.deepEqual([of("propose").length, store.now.proposing], [0, "m"]);
    await end(fails ? { error: "the memory ran out" } : {}, "m");
    await rest();
    assert.equal(of("propose").length, fails ? 1 : 0);
  }
});
