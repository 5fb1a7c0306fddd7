import assert from "node:assert/strict";
import { test } from "node:test";

import { judgePanel } from "../../../mattecli/server/static/panels/matte.js";
import { fillTop } from "../../../mattecli/server/static/panels/top.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";
import { documentWith, named } from "./dom.mjs";

const told = () => new Promise((done) => setImmediate(done)); // the store tells its watchers after a turn

test("the list of doubtful places is that of the last matte, also where their number is the same", async () => {
  documentWith("picture");
  const finding = (text, x) => ({ kind: "hole", text, x, y: 5, size: 9, box: [x, 0, x + 9, 9] });
  const store = new Store({ ...initialFields(), photo: { readonly: false } });
  const panel = judgePanel(store, () => {}, () => {});
  const places = () => panel.all((one) => one.tagName === "LI").map((one) => one.textContent);
  store.set({ matte: { run: 3, kind: "exact", sequence: 1 }, findings: [finding("a hole in the subject", 9)] });
  await told();
  assert.deepEqual(places(), ["1. A hole in the subject"]);
  store.set({ matte: { run: 4, kind: "exact", sequence: 2 } }); // its findings come later
  await told();
  store.set({ findings: [finding("a loose piece", 70)] });
  await told();
  assert.deepEqual(places(), ["1. A loose piece"]);
});

test("similar colours are offered only for tools that keep to them", async () => {
  const { known } = documentWith("views", "zoom", "options", "picture");
  const store = new Store({ ...initialFields(), tool: "brush" });
  fillTop(store, () => {});
  const over = named(known.options, "Where paint may go");
  const like = over.children.at(-1);
  store.set({ likeness: 32 });
  await told();
  assert.deepEqual([over.value, like.disabled], ["like", false]);
  store.set({ tool: "lasso" });
  await told();
  assert.deepEqual([over.value, like.disabled], ["all", true]);
  store.set({ tool: "fill" });
  await told();
  assert.deepEqual([over.value, like.disabled], ["like", false]);
});
