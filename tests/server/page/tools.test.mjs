import assert from "node:assert/strict";
import { test } from "node:test";

import { Opening } from "../../../mattecli/server/static/opening.js";
import { MOST_POINTS } from "../../../mattecli/server/static/paint/drawing.js";
import { Tools } from "../../../mattecli/server/static/paint/tools.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";
import { later, settled } from "./photos.mjs";

/** Tools on a canvas whose pixels are those of the picture, and what they painted. */
function toolsWith(fields = {}) {
  const store = new Store({ ...initialFields(), photo: { readonly: false }, view: "labels", ...fields });
  const did = { painted: [], filled: [], picked: [], said: [], moved: [], held: [] };
  const listeners = new Map();
  const canvas = {
    addEventListener: (kind, react) => listeners.set(kind, react),
    focus: () => {},
    setPointerCapture: () => {},
    getContext: () => null,
  };
  const viewer = {
    canvas, ratio: 1, picture: { width: 300, height: 200 }, transform: { scale: 1, left: 0, top: 0 }, views: [],
    range: { level: 0, top: 0, left: 0, bottom: 1, right: 2 },
    invalidate: () => {}, invalidateMarks: () => {}, positionOf: (at) => [at.clientX, at.clientY], pointOf: (at) => [at.clientX, at.clientY],
    move: (to) => did.moved.push(to),
  };
  const photo = {
    scene: { live: { current: null }, extend: () => {}, colours: () => () => Uint8Array.of(10, 20, 30) },
    paint: (shape) => did.painted.push(shape),
    fill: (x, y, shape) => did.filled.push(shape),
    say: (text) => did.said.push(text),
    refuse: () => {},
  };
  const tools = new Tools({ viewer, store, photo: () => photo, pick: (colour) => did.picked.push(colour), held: (isDown) => did.held.push(isDown) });
  const send = (kind, x, y, more = {}) =>
    listeners.get(kind)({ type: kind, clientX: x, clientY: y, pointerId: 1, pointerType: "mouse", button: 0, buttons: kind === "pointerup" ? 0 : 1, ...more });
  return { tools, store, did, send };
}

const points = (shape) => shape.points.map(([x, y]) => [x, y]);

test("a straight line never begins at a stroke of another photo", () => {
  const { tools, did, send } = toolsWith({ tool: "brush" });
  send("pointerdown", 10, 10);
  send("pointerup", 10, 10);
  send("pointerdown", 50, 50, { shiftKey: true });
  send("pointerup", 50, 50);
  assert.deepEqual(points(did.painted[1]), [[10, 10], [50, 50]]);
  tools.forget();
  send("pointerdown", 90, 20, { shiftKey: true });
  send("pointerup", 90, 20);
  assert.deepEqual(points(did.painted[2]), [[90, 20]]);
});

test("a stroke with more points than the server takes goes on as a second one", () => {
  const { did, send } = toolsWith({ tool: "brush" });
  send("pointerdown", 0, 0);
  for (let i = 1; i < MOST_POINTS + 10; i++) send("pointermove", i / 200, i % 7);
  send("pointerup", 300, 0);
  const [first, second] = did.painted.map(points);
  assert.deepEqual([did.painted.length, first.length, second.length], [2, MOST_POINTS, 11]);
  assert.deepEqual(second[0], first.at(-1), "without a gap");
  assert.deepEqual(second.at(-1), [(MOST_POINTS + 9) / 200, (MOST_POINTS + 9) % 7]);
});

test("an outline with more points than the server takes keeps every second one", () => {
  const { did, send } = toolsWith({ tool: "lasso" });
  send("pointerdown", 0, 0);
  for (let i = 1; i < MOST_POINTS + 10; i++) send("pointermove", i / 200, i % 7);
  send("pointerup", 300, 0);
  assert.equal(did.painted.length, 1);
  const outline = points(did.painted[0]);
  assert.equal(outline.length, MOST_POINTS / 2 + 10);
  assert.deepEqual([outline[0], outline[1], outline.at(-1)], [[0, 0], [2 / 200, 2], [(MOST_POINTS + 9) / 200, (MOST_POINTS + 9) % 7]]);
});

test("a polygon of the photo before is not closed in the next one", () => {
  const { tools, did, send } = toolsWith({ tool: "polygon" });
  for (const [x, y] of [[10, 10], [90, 10], [90, 90]]) {
    send("pointerdown", x, y);
    send("pointerup", x, y);
  }
  assert.equal(tools.forget(), true, "so that the page can say so");
  assert.equal(tools.finish(), false);
  assert.deepEqual(did.painted, []);
});

test("a photo that comes while the pen is down waits for the stroke", async () => {
  const { tools, did, send } = toolsWith({ tool: "brush" });
  const before = { id: "a", sent: async () => {}, queue: { unsent: 0 } };
  const opening = new Opening({ api: { open: async () => ({ id: "b" }) }, tools, photo: () => before });
  send("pointerdown", 10, 10);
  let came = false;
  const opened = opening.fact("b").then((fact) => ((came = true), fact));
  await new Promise((done) => setTimeout(done, 80));
  assert.equal(came, false);
  send("pointerup", 10, 10);
  assert.deepEqual(await opened, { id: "b" });
  assert.equal(did.painted.length, 1);
});

test("a photo that nobody waits for any more is closed again", async () => {
  const answers = { b: later(), c: later() };
  const closed = [];
  const api = { open: (id) => answers[id].promise, close: async (id) => closed.push(id) };
  const opening = new Opening({ api, tools: { busy: false }, photo: () => null });
  const b = opening.fact("b");
  await settled();
  const c = opening.fact("c");
  answers.b.give({ id: "b" });
  answers.c.give({ id: "c" });
  assert.deepEqual([await b, await c], [null, { id: "c" }]);
  assert.deepEqual(closed, ["b"], "else no other tab could paint it");
});

test("tools that read the photo's colours are refused while its exposure is another", () => {
  for (const tool of ["edge", "pick"]) {
    const { did, send, store } = toolsWith({ tool, exposure: 1 });
    send("pointerdown", 10, 10);
    send("pointerup", 10, 10);
    assert.deepEqual([did.painted.length, did.picked.length, did.said.length], [0, 0, 1], tool);
    assert.match(did.said[0], /exposure to 0/);
    store.set({ exposure: 0 });
    send("pointerdown", 10, 10);
    send("pointerup", 10, 10);
    assert.equal(did.painted.length + did.picked.length, 1, tool);
    store.set({ exposure: 1, view: "cutout" }); // which is shown without it
    send("pointerdown", 10, 10);
    send("pointerup", 10, 10);
    assert.equal(did.painted.length + did.picked.length, 2, tool);
  }
});

test("brush and fill keep to colours like the one where they begin", () => {
  const like = [[0, 0, 0], [42, 52, 62]];
  const { did, send, store } = toolsWith({ tool: "brush", likeness: 32 });
  send("pointerdown", 10, 10);
  send("pointerup", 10, 10);
  store.set({ tool: "fill" });
  send("pointerdown", 10, 10);
  send("pointerup", 10, 10);
  assert.deepEqual([did.painted[0].colours, did.filled[0].colours], [like, like]);
  store.set({ exposure: 1 });
  send("pointerdown", 10, 10);
  assert.equal(did.filled.length, 1, "what is similar is not known with another exposure");
  assert.match(did.said[0], /exposure to 0/);
});

test("a palm beside the pen adds nothing to the stroke and does not end it", () => {
  const pen = { pointerId: 7, pointerType: "pen", pressure: 1 };
  const palm = (pointerId) => ({ pointerId, pointerType: "touch" });
  const { did, send, tools } = toolsWith({ tool: "brush" });
  send("pointerdown", 10, 10, pen);
  send("pointerdown", 200, 150, palm(8));
  send("pointerdown", 210, 160, palm(9));
  send("pointermove", 205, 155, palm(8));
  send("pointermove", 30, 10, pen);
  send("pointerup", 205, 155, palm(8));
  send("pointercancel", 210, 160, palm(9));
  assert.equal(tools.busy, true);
  send("pointerup", 30, 10, pen);
  assert.deepEqual(did.painted.map(points), [[[10, 10], [30, 10]]]);
});

test("the pen paints though the palm came first", () => {
  const { did, send } = toolsWith({ tool: "brush" });
  send("pointerdown", 200, 150, { pointerId: 8, pointerType: "touch" });
  send("pointerdown", 10, 10, { pointerId: 7, pointerType: "pen" });
  send("pointermove", 210, 150, { pointerId: 8, pointerType: "touch" });
  send("pointerup", 10, 10, { pointerId: 7, pointerType: "pen" });
  assert.deepEqual(did.painted.map(points), [[[10, 10]]]);
});

test("two fingers move the picture and paint nothing", () => {
  const { did, send } = toolsWith({ tool: "brush" });
  const finger = (pointerId) => ({ pointerId, pointerType: "touch" });
  send("pointerdown", 100, 100, finger(1));
  send("pointerdown", 140, 100, finger(2));
  send("pointermove", 160, 100, finger(2));
  send("pointermove", 90, 100, finger(1));
  send("pointerup", 160, 100, finger(2));
  send("pointerup", 90, 100, finger(1));
  assert.equal(did.moved.length, 2);
  assert.deepEqual(did.painted, []);
});

test("corners that were clicked stay when the pen takes over from the palm, which adds none", () => {
  const { did, send, tools } = toolsWith({ tool: "polygon" });
  const pen = { pointerId: 7, pointerType: "pen" };
  for (const [x, y, who] of [[10, 10, pen], [90, 10, pen], [200, 150, { pointerId: 8, pointerType: "touch" }], [90, 90, pen]]) {
    send("pointerdown", x, y, who);
    if (who === pen) send("pointerup", x, y, who);
  }
  tools.finish();
  assert.deepEqual(did.painted.map(points), [[[10, 10], [90, 10], [90, 90]]]);
});

test("the palm before the pen fills nothing, and two fingers set no corner", () => {
  const finger = (pointerId) => ({ pointerId, pointerType: "touch" });
  const pen = { pointerId: 7, pointerType: "pen" };
  const { did, send, store, tools } = toolsWith({ tool: "fill" });
  send("pointerdown", 200, 150, finger(8));
  send("pointerdown", 10, 10, pen);
  send("pointerup", 10, 10, pen);
  send("pointerup", 200, 150, finger(8));
  assert.equal(did.filled.length, 1, "that of the pen");
  store.set({ tool: "polygon" });
  send("pointerdown", 100, 100, finger(1));
  send("pointerdown", 140, 100, finger(2));
  send("pointerup", 140, 100, finger(2));
  send("pointerup", 100, 100, finger(1));
  assert.equal(tools.finish(), false);
});

test("a run pauses until the pen is up, whatever a palm beside it does", () => {
  const palm = { pointerId: 8, pointerType: "touch" };
  const pen = { pointerId: 7, pointerType: "pen" };
  const { did, send } = toolsWith({ tool: "brush" });
  send("pointerdown", 10, 10, pen);
  send("pointerdown", 200, 150, palm);
  send("pointerup", 200, 150, palm);
  assert.deepEqual(did.held, [true]);
  send("pointerup", 10, 10, pen);
  assert.deepEqual(did.held, [true, false]);
});

test("the eraser's end of a pen fills and encloses with the other label", () => {
  const eraser = { pointerId: 7, pointerType: "pen", button: 5 };
  const { did, send, store } = toolsWith({ tool: "fill", label: 255 });
  const press = (x, y) => (send("pointerdown", x, y, { ...eraser, buttons: 32 }), send("pointerup", x, y, { ...eraser, buttons: 0 }));
  press(10, 10);
  assert.equal(did.filled[0].label, 0);
  for (const tool of ["lasso", "polygon"]) {
    store.set({ tool });
    if (tool === "polygon") for (const [x, y] of [[10, 10], [90, 10], [90, 90], [10, 10]]) press(x, y);
    else {
      send("pointerdown", 10, 10, { ...eraser, buttons: 32 });
      for (const [x, y] of [[90, 10], [90, 90]]) send("pointermove", x, y, { ...eraser, buttons: 32 });
      send("pointerup", 90, 90, { ...eraser, buttons: 0 });
    }
    assert.equal(did.painted.at(-1).label, 0, tool);
  }
});

/** Opening photos after photo a, whose strokes are sent or not. */
function openingAfter(a, answers = {}) {
  const asked = [];
  const api = {
    open: async (id) => (asked.push(`open ${id}`), answers[id] ? await answers[id]() : { id }),
    close: async (id) => asked.push(`close ${id}`),
  };
  const tools = { busy: false };
  return { asked, tools, opening: new Opening({ api, tools, photo: () => a }) };
}

test("what the server says of a photo is asked again after the pen went up, and after an event of it", async () => {
  const a = { id: "a", sent: async () => {}, queue: { unsent: 0 } };
  let saving = "s";
  const first = later();
  const { asked, tools, opening } = openingAfter(a, { b: async () => (asked.length === 1 ? await first.promise : { id: "b", saving }) });
  const opened = opening.fact("b");
  await settled();
  tools.busy = true;
  first.give({ id: "b", saving });
  await settled();
  saving = null;
  tools.busy = false;
  assert.deepEqual(await opened, { id: "b", saving: null });
  const second = later();
  const { asked: again, opening: other } = openingAfter(a, { b: async () => (again.length === 1 ? await second.promise : { id: "b", saving }) });
  const next = other.fact("b");
  await settled();
  other.told({ type: "saved", photo: "b" });
  second.give({ id: "b", saving: "s" });
  assert.deepEqual(await next, { id: "b", saving: null });
});

test("the open photo is kept when it is chosen again while another one is on its way", async () => {
  const answer = later();
  const a = { id: "a", sent: async () => {}, queue: { unsent: 0 } };
  const { asked, opening } = openingAfter(a, { b: () => answer.promise });
  const b = opening.fact("b");
  await settled();
  assert.equal(opening.busy, true, "so that an accepted photo does not give way to the next one");
  opening.stay("a");
  answer.give({ id: "b" });
  assert.equal(await b, null);
  assert.deepEqual([asked, opening.busy], [["open b", "close b"], false]);
});

test("strokes that cannot be sent are told, and a photo that is opened again loses them", async () => {
  let lost = 0;
  const a = {
    id: "a",
    sent: async () => (lost ? undefined : Promise.reject(new Error("1 change is not sent, because the photo is open elsewhere"))),
    queue: { get unsent() { return lost ? 0 : 1; }, forget: () => (lost += 1) },
  };
  const { asked, opening } = openingAfter(a);
  await assert.rejects(opening.fact("b"), /open elsewhere\. Open the other photo again/);
  assert.deepEqual([asked, lost, opening.busy], [[], 0, false]);
  assert.deepEqual(await opening.fact("b"), { id: "b" });
  assert.equal(lost, 1);
});
