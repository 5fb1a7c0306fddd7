import assert from "node:assert/strict";
import { test } from "node:test";

import { actionsOf } from "../../../mattecli/server/static/actions.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";

/** The actions on a store with these fields, and what they did. */
function actionsWith(fields) {
  const store = new Store({ ...initialFields(), ...fields });
  const did = { opened: [], went: [], said: [], made: [], shown: 0, accepted: 0 };
  const viewer = { transform: { scale: 0.5 }, goTo: (...place) => did.went.push(place) };
  const mattes = { make: (...how) => did.made.push(how), show: () => did.shown++, accept: () => did.accepted++ };
  const photo = { say: (text) => did.said.push(text), mattes };
  const parts = { store, viewer, tools: { cancel: () => false, finish: () => false }, photo: () => photo, open: (id) => did.opened.push(id) };
  return { actions: actionsOf(parts), store, did };
}

const photos = ["untouched", "failed", "failed", "done"].map((state, i) => ({ id: `${i}`, name: `${i}.jpg`, state }));

test("the next photo and the one before pass over those that could not be opened", () => {
  const { actions, did, store } = actionsWith({ session: { photos }, photo: { id: "0" } });
  actions.nextPhoto();
  store.set({ photo: { id: "3" } });
  actions.previousPhoto();
  actions.nextPhoto(); // there is none
  assert.deepEqual(did.opened, ["3", "0"]);
});

test("going through the doubtful places shows each at 1:1 and counts it as looked at", () => {
  const findings = [10, 50].map((x) => ({ kind: "hole", text: "a hole", x, y: 5, size: 9, box: [x - 5, 0, x + 5, 10] }));
  const { actions, did, store } = actionsWith({ findings });
  actions.next();
  assert.deepEqual([did.went, store.now.finding, store.now.seen.length, did.said.length], [[[10, 5, 1]], 0, 1, 0]);
  actions.next();
  assert.deepEqual(did.said, ["This is the last doubtful place."]);
  assert.deepEqual(did.went.at(-1), [50, 5, 1]);
});

test("the matte is made only where it is not there", () => {
  const matte = { run: 3, kind: "exact", sequence: 7, box: null };
  const { actions, did, store } = actionsWith({ painted: 7, matte });
  actions.matte();
  assert.deepEqual([did.shown, did.made], [1, []]);
  store.set({ painted: 8 });
  actions.matte();
  assert.deepEqual([did.shown, did.made], [1, [["exact", true]]]);
});

test("the edge brush is a tool, and choosing a label goes back to the brush", () => {
  const { actions, store } = actionsWith({ tool: "brush", view: "photo" });
  actions.edge();
  assert.equal(store.now.tool, "edge");
  actions.background();
  assert.deepEqual([store.now.tool, store.now.label], ["brush", 0]);
  actions.edge();
  actions.eraser();
  assert.deepEqual([store.now.tool, store.now.eraser], ["brush", true]);
});

test("a photo without a trimap is not approved by the key either", () => {
  const { actions, did, store } = actionsWith({ session: { photos, report: "run.jsonl" }, photo: { id: "0", readonly: false } });
  actions.accept();
  assert.equal(did.accepted, 0);
  store.set({ painted: 1 });
  actions.accept();
  assert.equal(did.accepted, 1);
});

test("where the matte was given, the exact one is made when it is asked for", () => {
  const { actions, did } = actionsWith({ painted: 7, matte: { run: 1, kind: "exact", sequence: 7, box: null, given: true } });
  actions.matte();
  assert.deepEqual([did.shown, did.made], [0, [["exact", true]]]);
});
