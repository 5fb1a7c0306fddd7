import assert from "node:assert/strict";
import { test } from "node:test";

import { beginPanel } from "../../../mattecli/server/static/panels/begin.js";
import { retitle } from "../../../mattecli/server/static/panels/elements.js";
import { finishPanel } from "../../../mattecli/server/static/panels/finish.js";
import { judgePanel } from "../../../mattecli/server/static/panels/matte.js";
import { fillStatus } from "../../../mattecli/server/static/panels/status.js";
import { fillToolbar } from "../../../mattecli/server/static/panels/toolbar.js";
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

test("with a batch's report the tooltips of buttons have its keys", () => {
  const { known } = documentWith("tools", "picture");
  fillToolbar(new Store(initialFields()), () => {});
  const brush = named(known.tools, "Brush");
  assert.match(brush.title, /D or P/);
  retitle();
  assert.match(brush.title, /\(D\)$/);
});

test("files of a matte that was not made here are not offered", async () => {
  documentWith("picture");
  const matte = { run: 1, kind: "exact", sequence: 4, box: null, given: true };
  const store = new Store({ ...initialFields(), session: { photos: [], report: "run.jsonl" }, photo: { readonly: false }, painted: 4, matte });
  const photo = { id: "a", api: { downloadAddress: () => "/" } };
  const { element } = finishPanel(store, () => {}, () => photo);
  const links = () => element.all((one) => one.tagName === "A").map((one) => one.textContent);
  assert.deepEqual(links(), []);
  store.set({ matte: { ...matte, run: 2, given: false } });
  await told();
  assert.deepEqual(links(), ["Alpha"]);
});

test("a slider stays under the pointer that drags it, and a drag back to where it was lays nothing", async () => {
  const { window } = documentWith("picture");
  const store = new Store({ ...initialFields(), photo: { readonly: false }, hasBase: true, band: { inside: 4, outside: 4, reach: 64 } });
  const bands = [];
  const inside = named(beginPanel(store, () => {}, () => ({ band: (...how) => bands.push(how) })), "Inside");
  const drag = (value) => {
    inside.value = value;
    inside.send("input");
  };
  inside.send("pointerdown");
  drag("9");
  store.set({ band: { inside: 5, outside: 4, reach: 64 } }); // the answer to something before
  await told();
  assert.equal(inside.value, "9");
  drag("4");
  window.send("pointerup");
  await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual([bands.at(-1), inside.value], [[null], "5"]);
  inside.send("pointerdown");
  drag("12");
  window.send("pointerup");
  inside.send("change");
  await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual(bands.at(-1), [{ inside: 12, outside: 4 }, true]);
});

test("of Choke and Spread the one that was set last counts, and the other one is off", async () => {
  documentWith("picture");
  const store = new Store({ ...initialFields(), photo: { readonly: false } });
  const { element } = finishPanel(store, () => {}, () => null);
  const [choke, spread] = ["Choke", "Spread"].map((name) => named(element, name));
  const set = (slider, value) => {
    slider.value = value;
    slider.send("input");
    slider.send("change");
  };
  set(choke, "2");
  assert.deepEqual(store.now.finish, { choke: 2 });
  set(spread, "1.5");
  assert.deepEqual([store.now.finish, choke.value], [{ spread: 1.5 }, "0"]);
  set(choke, "0"); // off already: it turns nothing off
  assert.deepEqual([store.now.finish, spread.value], [{ spread: 1.5 }, "1.5"]);
  set(choke, "3");
  assert.deepEqual([store.now.finish, spread.value], [{ choke: 3 }, "0"]);
});

test("the state line says why changes are not sent", async () => {
  const { known } = documentWith("status", "name", "toast", "live");
  const store = new Store({ ...initialFields(), photo: { readonly: false }, unsent: 2, online: false });
  fillStatus(store);
  for (const [fields, why] of [[{ stuck: false }, "the server does not answer"], [{ stuck: true }, "the server cannot open the photo"], [{ photo: { readonly: true } }, "the photo is open elsewhere"]]) {
    store.set(fields);
    await told();
    assert.match(known.status.textContent, new RegExp(`2 unsent: ${why}`));
  }
  store.set({ photo: null }); // no timer goes on
});

test("links and places that are made anew keep the keyboard's focus", async () => {
  const { known } = documentWith("picture");
  const matte = { run: 1, kind: "exact", sequence: 4, box: null };
  const finding = (text) => ({ kind: "hole", text, x: 5, y: 5, size: 9, box: [0, 0, 9, 9] });
  const store = new Store({ ...initialFields(), photo: { readonly: false }, painted: 4, matte, findings: [finding("one"), finding("two")] });
  const photo = { id: "a", api: { downloadAddress: () => "/" } };
  const { element } = finishPanel(store, () => {}, () => photo);
  const judge = judgePanel(store, () => {}, () => {});
  element.all((one) => one.tagName === "A")[1].focus();
  store.set({ saved: 4 });
  await told();
  assert.equal(document.activeElement, element.all((one) => one.tagName === "A")[1]);
  named(judge, "2. Two").focus();
  store.set({ findings: [finding("three")] });
  await told();
  assert.equal(document.activeElement, named(judge, "1. Three"));
  store.set({ findings: [] });
  await told();
  assert.equal(document.activeElement, known.picture);
});

test("the state is read out again only where it is another one", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { known } = documentWith("status", "name", "toast", "live");
  const store = new Store({ ...initialFields(), photo: { readonly: true }, painted: 4 });
  const heard = [];
  Object.defineProperty(known.live, "textContent", { set: (text) => heard.push(text) });
  fillStatus(store);
  for (const painted of [4, 4, 5]) {
    store.set({ photo: { readonly: true }, painted });
    await told();
    context.mock.timers.tick(1000);
  }
  assert.deepEqual(heard.map((text) => text.split(" · ")[0]), ["Painted 4", "Painted 5"]);
});
