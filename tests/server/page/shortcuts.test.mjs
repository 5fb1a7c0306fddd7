import assert from "node:assert/strict";
import { test } from "node:test";

import { beginPanel } from "../../../mattecli/server/static/panels/begin.js";
import { check, choice } from "../../../mattecli/server/static/panels/elements.js";
import { fillStrip } from "../../../mattecli/server/static/panels/strip.js";
import { listenToKeys } from "../../../mattecli/server/static/shortcuts.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";
import { documentWith, named } from "./dom.mjs";

const told = () => new Promise((done) => setImmediate(done));

/** A page whose keys are listened to, and what they did. */
function page(fields = {}) {
  const { body, known, window } = documentWith("picture", "help", "strip");
  const store = new Store({ ...initialFields(), ...fields });
  const did = [];
  const tools = { panning: false };
  listenToKeys({ store, tools, picture: known.picture, act: (action) => did.push(action) });
  known.picture.focus();
  const send = (kind, key, more = {}) => document.activeElement.send(kind, { key, ctrlKey: false, metaKey: false, ...more });
  return { body, known, window, store, did, tools, down: (...how) => send("keydown", ...how), up: (...how) => send("keyup", ...how) };
}

test("a number that was typed counts for the action that follows by its key", async () => {
  const boxes = [];
  const { body, store, down, did } = page({ photo: { id: "a", width: 300, height: 200 }, box: [10, 20, 100, 120] });
  const panel = beginPanel(store, () => {}, () => null);
  body.append(panel);
  const field = named(panel, "Bottom of the box");
  field.type = "number";
  store.watch(["box"], ({ box }) => boxes.push(box));
  await told();
  field.focus();
  field.typed = "150";
  down("Enter", { ctrlKey: true });
  assert.deepEqual(did, ["propose"]);
  assert.deepEqual(store.now.box, [10, 20, 100, 150]);
  assert.equal(document.activeElement, field, "who types goes on there");
});

test("after a pointer the focus is on the picture again, after the keyboard it stays", () => {
  const { body, known } = page();
  const [tick, chosen] = [check("Refine", "", () => {}), choice("Where", [["all", "everything"]], () => {})];
  body.append(tick.element, chosen);
  for (const [hit, input] of [[tick.element, tick.input], [chosen, chosen]]) {
    input.focus();
    input.send("keydown", { key: " " });
    input.send("change");
    assert.equal(document.activeElement, input);
    hit.send("pointerdown");
    input.send("change");
    assert.equal(document.activeElement, known.picture);
  }
});

test("a click on a photo of the film strip leaves the keys to the picture", () => {
  globalThis.IntersectionObserver = class { observe() {} };
  const photos = ["a", "b"].map((id) => ({ id, name: `${id}.jpg`, state: "untouched" }));
  const { known, store } = page({ session: { photos }, photo: { id: "a" } });
  const opened = [];
  fillStrip(store, (id) => opened.push(id));
  const [, frame] = known.strip.all((one) => one.tagName === "BUTTON");
  frame.focus();
  frame.send("click", { detail: 1 });
  assert.deepEqual([opened, document.activeElement], [["b"], known.picture]);
});

test("a held key is let go when it goes up, whatever it is called by then", () => {
  const { tools, store, window, down, up } = page();
  down(" ", { code: "Space" });
  down("Control", { code: "ControlLeft", ctrlKey: true });
  up(" ", { code: "Space", ctrlKey: true });
  assert.equal(tools.panning, false);
  down("\\", { code: "Backslash" });
  down(" ", { code: "Space" });
  up("|", { code: "Backslash", shiftKey: true });
  assert.deepEqual([tools.panning, store.now.bare], [true, false], "each key by itself");
  window.send("blur");
  assert.equal(tools.panning, false, "the window was left");
});

test("a click on a heading, a link or the wipe leaves the keys to the picture", () => {
  const { body, known, did, down } = page();
  for (const [tag, role] of [["summary"], ["a"], ["div", "slider"]]) {
    const part = Object.assign(document.createElement(tag), { role });
    body.append(part);
    part.focus();
    part.send("click", { detail: 0 });
    assert.equal(document.activeElement, part, "after the keyboard the focus stays");
    part.send("click", { detail: 1 });
    assert.equal(document.activeElement, known.picture, tag);
  }
  down("PageDown");
  assert.deepEqual(did, ["nextPhoto"]);
});
