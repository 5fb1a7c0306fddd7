import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { react } from "../../../mattecli/server/static/events.js";
import { catchUp, resync } from "../../../mattecli/server/static/reopening.js";
import { Refusal } from "../../../mattecli/server/static/paint/stroke.js";
import { Saves } from "../../../mattecli/server/static/saves.js";
import { lightOf } from "../../../mattecli/server/static/state.js";
import { factOf, later, opened, settled } from "./photos.mjs";

/** @type {import("../../../mattecli/server/static/photo.js").OpenPhoto[]} */
const photos = [];
const openedHere = (parts) => {
  const made = opened(parts);
  photos.push(made.photo);
  return made;
};
afterEach(() => {
  photos.splice(0).forEach((photo) => photo.close()); // no timer goes on
  sessionStorage.clear();
});

const going = (fields) => ({ run: null, proposing: null, saving: null, ended: [], ...fields });

test("why the server cannot open the photo again is said once, and the strokes wait for that", async () => {
  const refused = () => Promise.reject(new Refusal("a.jpg cannot be read; check its permissions", 400));
  const { photo, store } = openedHere({ answers: { open: refused, operate: () => Promise.reject(new Refusal("the photo is not open", 404)) } });
  await assert.rejects(resync(photo));
  assert.equal(store.now.message.text, "a.jpg cannot be read; check its permissions.");
  store.set({ message: null });
  photo.paint(stroke);
  await settled();
  assert.deepEqual([store.now.unsent, store.now.online, store.now.stuck, store.now.message], [1, false, true, null]);
});

test("what a tab missed while it was hidden is told when it is seen again", async () => {
  const ended = [
    { type: "saved", photo: "a", save: "s", files: [{ product: "alpha", name: "a_alpha.png" }], sequence: 4, approved: false },
    { type: "proposal", photo: "a", proposal: "p", inside: 0, outside: 0, notes: [] },
    { type: "failed", photo: "a", run: 7, error: "the memory ran out", cancelled: false },
  ];
  let went = 0;
  const { photo, store, of } = openedHere({ answers: { open: async () => factOf({ going: going({ ended }) }) } });
  store.set({ saving: "s", proposing: "p", run: { run: 7, kind: "exact", share: 0, left: null } });
  photo.mattes.accepting = true;
  await resync(photo, () => went++);
  await settled();
  assert.deepEqual([store.now.saving, store.now.proposing, store.now.run], [null, null, null]);
  assert.equal(store.now.saved, 4);
  assert.deepEqual(of("operate").map(([, , { kind, proposal }]) => [kind, proposal]), [["base", "p"]]);
  assert.equal(went, 1, "an accepted photo gives way to the next one");
});

test("what still goes on is taken over, with its progress", async () => {
  const run = { run: 9, kind: "exact", share: 0.5, left: 12 };
  const still = going({ run, proposing: "p", saving: "s", ended: [{ type: "saved", photo: "a", save: "old", files: [], sequence: 1 }] });
  const { photo, store } = openedHere({ answers: { open: async () => factOf({ going: still }) } });
  store.set({ saving: "s", proposing: "p" });
  await resync(photo);
  assert.deepEqual([store.now.run, store.now.proposing, store.now.saving, store.now.saved], [run, "p", "s", null]);
});

test("a page that is loaded again shows the run and the save that go on", () => {
  const run = { run: 9, kind: "exact", share: 0.5, left: 12 };
  const { store } = openedHere({ fact: factOf({ going: going({ run, saving: "s" }) }) });
  assert.deepEqual([store.now.run, store.now.saving], [run, "s"]);
});

test("the matte that was asked for is shown though its event was missed", async () => {
  const matte = { run: 7, kind: "exact", sequence: 4, box: null };
  const ended = [{ type: "matte", photo: "a", matte, estimate: { exact: 3 } }];
  const { photo, store, of } = openedHere({ answers: { open: async () => factOf({ matte, going: going({ ended }) }) } });
  store.set({ run: { run: 7, kind: "exact", share: 0.1, left: 9 }, view: "labels" });
  photo.mattes.asked = 7;
  await resync(photo);
  assert.deepEqual([store.now.run, store.now.view, store.now.matte], [null, "cutout", matte]);
  assert.equal(of("findings").length, 1, "its doubtful places are asked for once");
});

test("a save of a server that was started anew ends with a sentence", async () => {
  const { photo, store } = openedHere();
  store.set({ saving: "s" });
  await resync(photo);
  assert.equal(store.now.saving, null);
  assert.match(store.now.message.text, /started anew/);
});

test("a save whose end comes before the answer to it does not wait for ever", async () => {
  const early = { type: "saved", photo: "a", save: "s", files: [], sequence: 4, approved: false };
  const answers = { save: async () => (react(made.photo, early, () => {}), { save: "s" }) };
  const made = openedHere({ answers });
  await made.photo.mattes.save({ products: ["trimap"] });
  assert.deepEqual([made.store.now.saving, made.store.now.saved], [null, 4]);
});

test("a run whose end comes before the answer to it is not shown as going on", async () => {
  const matte = (run, kind) => ({ type: "matte", photo: "a", matte: { run, kind, sequence: 4, box: null } });
  for (const ends of [[{ type: "failed", photo: "a", run: 9, error: "", cancelled: true }], [matte(9, "preview"), matte(10, "exact")]]) {
    const answers = { matte: async () => (ends.forEach((end) => react(made.photo, end, () => {})), { run: 9 }) };
    const made = openedHere({ answers });
    await made.photo.mattes.make("preview");
    assert.equal(made.store.now.run, null);
  }
});

test("a stroke whose answer comes after the server was asked anew is refined and has a matte made", async () => {
  const answer = later();
  const operate = async (...how) => (await answer.promise, history()(...how));
  const answers = { operate, open: async () => factOf({ sequence: 5, painted: 5 }), propose: async () => ({ proposal: "p" }), matte: async () => ({ run: 3 }), cancel: async () => ({}) };
  const { photo, store, of } = openedHere({ answers });
  store.set(refining);
  photo.paint(stroke);
  await settled();
  await resync(photo);
  answer.give();
  await settled();
  await rest(350);
  assert.equal(of("propose").length, 1);
  react(photo, proposed, () => {});
  await settled();
  await rest(750);
  assert.equal(of("matte").length, 1);
});

test("a matte that a server which was started anew does not have is made again", async () => {
  const matte = { run: 3, kind: "exact", sequence: 4, box: null };
  const { photo, of } = openedHere({ fact: factOf({ matte }), answers: { open: async () => factOf(), matte: async () => ({ run: 3 }), cancel: async () => ({}) } });
  await resync(photo);
  await rest(750);
  assert.equal(of("matte").length, 1);
});

test("only an accepted photo gives way to the next one, not what is saved after it", async () => {
  let went = 0;
  const { photo } = openedHere({ answers: { save: async () => ({ save: "s" }) } });
  await photo.mattes.accept();
  for (const save of ["s", "t"]) react(photo, { type: "saved", photo: "a", save, files: [], sequence: 4, approved: false }, () => went++);
  assert.equal(went, 1);
});

const refining = { begun: "box", hasBase: true, refining: true };
const base = { inside: 0, outside: 0, reach: 64 };
const stroke = { points: [[9, 9, 4]], closed: false, label: 255, over: [0, 128, 255] };
const proposed = { type: "proposal", photo: "a", proposal: "p", inside: 0, outside: 0, notes: [] };
const kinds = (of) => of("operate").map(([, , { kind }]) => kind);
const rest = (time) => new Promise((done) => setTimeout(done, time));

/** Answers to operations: a base that follows from a stroke is a part of it. */
function history() {
  const [done, undone] = [[1, 2, 3, 4], []];
  return async (_, sequence, { kind, after }) => {
    if (kind === "undo") undone.push(done.pop());
    else if (kind === "redo") done.push(undone.pop());
    else if (!after) done.push(sequence);
    const answer = { sequence, refused: "", changed: [], painted: sequence, undoable: done.length, redoable: undone.length, last: done.at(-1), band: base };
    return { answer, tiles: [] };
  };
}

test("a stroke that is taken back at once is not refined, but one that still stands is", async () => {
  for (const [shapes, expected] of [[[stroke], 0], [[stroke, { ...stroke, label: 128 }], 1]]) {
    const { photo, store, of } = openedHere({ answers: { propose: async () => ({ proposal: "p" }), operate: history() } });
    store.set(refining);
    for (const shape of shapes) photo.paint(shape);
    photo.undo();
    await settled();
    await rest(350);
    assert.equal(of("propose").length, expected);
  }
});

test("of two quick strokes the first is refined where the second is taken back, before its refinement came and after", async () => {
  for (const isAsked of [false, true]) {
    const { photo, store, of } = openedHere({ answers: { propose: async () => ({ proposal: "p" }), operate: history() } });
    store.set(refining);
    photo.paint(stroke);
    photo.paint(stroke);
    await settled();
    if (isAsked) await rest(350);
    photo.undo();
    await settled();
    assert.equal(store.now.proposing, null);
    await rest(350);
    assert.equal(of("propose").length, isAsked ? 2 : 1);
    react(photo, proposed, () => {});
    await settled();
    assert.deepEqual(of("operate").map(([, , { kind, after }]) => [kind, after]).at(-1), ["base", 5]);
    photo.redo();
    await settled();
    await rest(350);
    assert.equal(of("propose").length, isAsked ? 3 : 2, "the second is done again");
  }
});

test("a refinement of a stroke that was taken back is not laid, and is made when the stroke is done again", async () => {
  for (const early of [true, false]) {
    const answer = later();
    const { photo, store, of } = openedHere({ answers: { propose: () => answer.promise, operate: history() } });
    store.set({ ...refining, refining: false });
    photo.paint(stroke);
    await settled();
    void photo.proposals.make({ source: "box" }, 5);
    await settled();
    if (!early) answer.give({ proposal: "p" });
    await settled();
    photo.undo();
    await settled();
    if (early) answer.give({ proposal: "p" });
    await settled();
    react(photo, proposed, () => {});
    await settled();
    assert.deepEqual(kinds(of), ["stroke", "undo"]);
    assert.equal(store.now.proposing, null);
    store.set({ refining: true });
    photo.redo();
    await settled();
    await rest(350);
    assert.equal(of("propose").length, 2);
  }
});

test("a refinement is laid as a part of its stroke, so one undo takes both back, and stays when another stroke is taken back", async () => {
  const { photo, store, of } = openedHere({ answers: { propose: async () => ({ proposal: "p" }), operate: history() } });
  store.set(refining);
  photo.paint(stroke);
  await settled();
  await photo.proposals.make({ source: "box" }, 5);
  photo.paint({ ...stroke, label: 128 });
  photo.undo();
  await settled();
  react(photo, proposed, () => {});
  await settled();
  photo.undo();
  await settled();
  assert.deepEqual(of("operate").map(([, , { kind, after }]) => [kind, after]), [
    ["stroke", undefined], ["stroke", undefined], ["undo", undefined], ["base", 5], ["undo", undefined],
  ]);
});

test("after a reload a refinement that is being made is still one, and one that was dropped is not laid", async () => {
  for (const drops of [false, true]) {
    sessionStorage.clear();
    const answers = { propose: async () => ({ proposal: "p" }), operate: history(), cancel: async () => ({}) };
    const before = openedHere({ answers });
    before.store.set({ ...refining, refining: false });
    before.photo.paint(stroke);
    await settled();
    await before.photo.proposals.make({ source: "box" }, 5);
    if (drops) before.photo.undo();
    await settled();
    before.photo.close();
    const { photo, store, of } = openedHere({ answers, fact: factOf({ sequence: 6, going: going({ proposing: "p" }) }) });
    assert.equal(store.now.proposing, drops ? null : "p");
    react(photo, proposed, () => {});
    await settled();
    assert.deepEqual(of("operate").map(([, , { kind, after }]) => [kind, after]), drops ? [] : [["base", 5]]);
  }
});

test("an old proposal is not taken for the one that was just asked for", async () => {
  const answer = later();
  const { photo, of } = openedHere({ answers: { propose: () => answer.promise } });
  void photo.proposals.make({ source: "box" });
  await settled();
  react(photo, proposed, () => {});
  react(photo, { ...proposed, proposal: "q" }, () => {}); // it comes before the answer that names it
  answer.give({ proposal: "q" });
  await settled();
  assert.deepEqual(of("operate").map(([, , { proposal }]) => proposal), ["q"]);
});

const strip = { photos: [{ id: "a", name: "a.jpg", state: "started" }, { id: "b", name: "b.jpg", state: "untouched" }] };
const saved = { type: "saved", photo: "a", save: "s", files: [{ product: "alpha", name: "a_alpha.png" }], sequence: 4, progress: "done" };
const failed = { type: "failed", photo: "a", save: "s", error: "the disk is full" };

/** Photo a, which is saved and then left for photo b on the same page. */
async function leaving(answers) {
  const saves = new Saves();
  const a = openedHere({ answers, saves, fields: { session: strip } });
  const work = a.photo.mattes.save({ products: ["alpha"] });
  await settled();
  a.photo.close();
  a.store.set({ saving: null, run: null, findings: null, message: null });
  const b = openedHere({ store: a.store, saves, fact: factOf({ id: "b", name: "b.jpg", painted: 1 }) });
  return { a, b, store: a.store, work };
}

test("the end of a save is told though its photo was left, and the film strip shows it", async () => {
  const { b, store } = await leaving({ save: async () => ({ save: "s" }) });
  react(b.photo, saved, () => {});
  assert.equal(store.now.message.text, "a.jpg: Saved a_alpha.png.");
  assert.equal(store.now.session.photos[0].state, "done");
  assert.equal(store.now.saved, null, "b is not saved");
});

test("a save that fails after its photo was left is told, whenever the answers come", async () => {
  const first = await leaving({ save: async () => ({ save: "s" }) });
  react(first.b.photo, failed, () => {});
  assert.equal(first.store.now.message.text, "a.jpg: The disk is full.");
  for (const refuses of [true, false]) {
    const answer = later();
    const late = await leaving({ save: () => answer.promise });
    if (!refuses) react(late.b.photo, failed, () => {}); // the event comes before the answer that names the save
    answer.give(refuses ? Promise.reject(new Error("the disk is full")) : { save: "s" });
    await late.work;
    assert.equal(late.store.now.message.text, "a.jpg: The disk is full.");
    assert.equal(late.store.now.saving, null, "b can be saved");
  }
});

test("the save of another tab is shown in the film strip, and not told", async () => {
  const { store, photo } = openedHere({ fields: { session: strip } });
  react(photo, { ...saved, photo: "b", save: "other" }, () => {});
  assert.deepEqual([store.now.session.photos[1].state, store.now.message], ["done", null]);
});

test("late answers of the photo that was left change nothing of the next one", async () => {
  const [matte, findings] = [later(), later()];
  const a = openedHere({ answers: { matte: () => matte.promise, findings: () => findings.promise, cancel: async () => ({}) } });
  void a.photo.mattes.make("exact");
  void a.photo.mattes.find(3);
  await settled();
  a.photo.close();
  const { store } = a;
  store.set({ run: null, findings: null, message: null });
  openedHere({ store, fact: factOf({ id: "b", painted: 1 }) });
  matte.give({ run: 8 });
  findings.give({ findings: [{ kind: "hole" }] });
  await settled();
  assert.deepEqual([store.now.run, store.now.findings, store.now.message], [null, null, null]);
  assert.deepEqual(a.of("cancel"), [["a", 8]], "nobody waits for that run");
});

test("the end of the server is told", () => {
  const { store, photo } = openedHere();
  react(photo, { type: "closing", photo: null }, () => {});
  assert.match(store.now.message.text, /server has ended/);
});

test("exposure and gamma are not those of a cut-out, nor of a view beside it", () => {
  const light = { exposure: 2, gamma: 1.5 };
  const shown = [["photo", null], ["cutout", null], ["photo", "cutout"]].map(([view, wipe]) => {
    assert.equal(lightOf({ view, wipe, ...light }).gamma, wipe || view === "cutout" ? 1 : 1.5);
    const { photo, of } = openedHere({ fields: { view, wipe, ...light }, answers: { tiles: async () => [] } });
    photo.scene.prepare(photo.viewer.range, [{ kind: view, overlay: "tint", strength: 0.4, gamma: 1 }]);
    return of("tiles")[0][2].exposure;
  });
  assert.deepEqual(shown, [2, 0, 0]);
});

test("another exposure replaces the tiles that are shown, also those that were on their way", async () => {
  globalThis.OffscreenCanvas = class { getContext = () => ({ putImageData: () => {} }); };
  globalThis.ImageData = class {};
  const answers = [later(), later(), later()];
  const [asked, drawn] = [[], []];
  const place = { level: 0, row: 0, column: 0, revision: 0, width: 1, height: 1 };
  const labels = { ...place, layer: "labels", channels: 1, data: Uint8Array.of(128) };
  const tiles = (_, wanted, { exposure }) => {
    const { promise } = answers[asked.push(exposure) - 1];
    return promise.then((red) => [labels, { ...place, layer: "photo", channels: 3, data: Uint8Array.of(red, 0, 0) }]);
  };
  const compose = async ({ photo: [red] }) => (drawn.push(red), new Uint8ClampedArray(4));
  const { photo, store } = openedHere({ answers: { tiles }, compose });
  const { scene } = photo;
  const picked = () => scene.colours(0)(0.5, 0.5)?.[0];
  const frame = async () => {
    scene.prepare({ level: 0, top: 0, left: 0, bottom: 1, right: 1 }, [{ kind: "photo", overlay: "tint", strength: 0, gamma: 1 }]);
    await settled();
  };
  await frame();
  answers[0].give(10);
  await settled();
  await frame();
  assert.deepEqual([drawn, picked()], [[10], 10]);
  store.set({ exposure: 1 });
  scene.renewPhoto(1);
  await frame();
  store.set({ exposure: 2 });
  scene.renewPhoto(2);
  answers[1].give(20);
  await settled();
  assert.deepEqual([drawn, picked()], [[10], undefined], "exposure 1 came too late, and tools do not read the old tile");
  await frame();
  answers[2].give(40);
  await settled();
  await frame();
  assert.deepEqual([drawn, picked(), asked], [[10, 40], 40, [0, 1, 2]]);
});

test("many strokes are forgotten though tiles of another zoom have not got them, which are fetched anew", async () => {
  globalThis.OffscreenCanvas = class { getContext = () => ({ putImageData: () => {} }); };
  globalThis.ImageData = class {};
  let last = 4;
  const asked = [];
  const tiles = async (_, wanted) => {
    asked.push(...wanted.filter(({ layer }) => layer === "labels").map(({ level }) => level));
    return wanted.map((one) => ({ ...one, revision: one.layer === "labels" ? last : 0, width: 1, height: 1, channels: 1, data: new Uint8Array(3) }));
  };
  const operate = async (...how) => {
    const made = await history()(...how);
    return { ...made, answer: { ...made.answer, sequence: (last = how[1]), changed: [[0, 0]] } };
  };
  const levels = [[1200, 800], [600, 400], [300, 200]];
  const { photo } = openedHere({ fact: factOf({ levels }), answers: { tiles, operate } });
  const frame = async (level) => {
    photo.scene.prepare({ level, top: 0, left: 0, bottom: 1, right: 1 }, [{ kind: "labels", overlay: "tint", strength: 0, gamma: 1 }]);
    await settled();
    photo.settle();
  };
  await frame(1);
  await frame(0);
  for (let i = 0; i < 60; i++) photo.paint(stroke);
  while (photo.queue.unsent) await rest(5);
  for (let i = 0; i < 2; i++) await frame(0);
  assert.equal(photo.queue.entries.length, 0);
  assert.equal(photo.scene.surface({ kind: "labels" }, { level: 1, row: 0, column: 0 }), undefined, "the old picture is not shown");
  asked.length = 0;
  await frame(1);
  assert.deepEqual(asked, [1]);
});

test("a save that waits for a run has its progress, and Cancel ends it", async () => {
  const { photo, store, of } = openedHere({ answers: { save: async () => ({ save: "s", run: 9 }), cancel: async () => ({}) } });
  await photo.mattes.save({ products: ["alpha"] });
  react(photo, { type: "progress", photo: "a", run: 9, share: 0.5, left: 3 }, () => {});
  assert.deepEqual([store.now.saving, store.now.run], ["s", { run: 9, kind: "exact", share: 0.5, left: 3 }]);
  photo.mattes.cancel();
  assert.deepEqual(of("cancel"), [["a", 9]]);
  store.set({ saving: null });
  await photo.mattes.save({ products: ["alpha"] });
  assert.equal(store.now.run.share, 0.5, "a run that is known keeps its progress");
});

test("a photo that is left while the server is asked of it is closed there again", async () => {
  const answer = later();
  const { photo, of } = openedHere({ answers: { open: () => answer.promise, close: async () => ({}) } });
  const asked = resync(photo);
  photo.close();
  answer.give(factOf());
  await asked;
  assert.deepEqual(of("close"), [["a"]]);
});

test("a photo whose file is another one by now is opened anew, and what cannot be sent is told", async () => {
  const anew = [];
  const other = factOf({ content: "another", sequence: 0, painted: 0 });
  const operate = async () => Promise.reject(new Refusal("operation 5 came before 1", 409));
  const { photo, store } = openedHere({ answers: { open: async () => other, operate }, anew: (...how) => anew.push(how) });
  await assert.rejects(resync(photo));
  assert.deepEqual(anew, [["a", "a.jpg was changed on the disk, so it was opened anew."]]);
  assert.equal(store.now.painted, 4, "nothing of the other picture is shown on this one");
  photo.paint(stroke);
  await settled();
  assert.match(anew.at(-1)[1], /not sent are lost/);
  assert.equal(photo.queue.unsent, 0);
});

test("after a restart the photo is found by its content among those of its name", async () => {
  const facts = { x: factOf({ id: "x", content: "another" }), y: factOf({ id: "y" }) };
  const session = { photos: ["x", "y"].map((id) => ({ id, name: "a.jpg", state: "started" })) };
  const answers = {
    open: async (id) => facts[id] ?? Promise.reject(new Refusal("there is no such photo here", 404)),
    close: async () => ({}),
    session: async () => session,
  };
  const { photo, of, store } = openedHere({ answers });
  await resync(photo);
  assert.deepEqual([photo.id, of("close"), store.now.session], ["y", [["x"]], session]);
  facts.y.content = "a third one";
  photo.id = "a";
  await assert.rejects(resync(photo));
  assert.match(store.now.message.text, /without a.jpg/);
});

test("strokes that waited while another tab painted get new numbers when this tab paints again", async () => {
  for (const again of ["taken over", "the other tab was closed"]) {
    let writes = false;
    const sent = [];
    const operate = async (_, sequence) => {
      if (!writes) throw new Refusal("another tab paints this photo", 403);
      sent.push(sequence);
      return { answer: { sequence, refused: "", changed: [], painted: sequence, undoable: 1, redoable: 0, band: base }, tiles: [] };
    };
    const open = async (_, take) => ((writes ||= take || again !== "taken over"), factOf({ readonly: !writes, takeable: !writes, sequence: 9 }));
    const { photo } = openedHere({ answers: { operate, open: async (id, take) => (openings++ ? open(id, take) : factOf({ readonly: true, takeable: true, sequence: 7 })) } });
    let openings = 0;
    photo.paint(stroke); // as number 5, which the other tab has used; this tab learns that it may not paint
    photo.paint(stroke);
    await settled();
    photo.paint(stroke);
    if (again === "taken over") await photo.takeOver();
    else await resync(photo);
    while (photo.queue.unsent) await rest(20);
    assert.deepEqual(sent, [10, 11], again);
  }
});

test("an answer that is older than a stroke does not take its number back", async () => {
  const old = later();
  let asked = 0;
  const { photo, store, of } = openedHere({ answers: { open: async () => (asked++ ? factOf({ sequence: 5, painted: 5 }) : await old.promise) } });
  const synced = resync(photo);
  photo.paint(stroke);
  await settled();
  old.give(factOf());
  await synced;
  assert.equal(store.now.painted, 5);
  photo.paint(stroke);
  await settled();
  assert.deepEqual(of("operate").map(([, sequence]) => sequence), [5, 6]);
});

test("a photo that was left is not opened anew when its file is another one", async () => {
  const answer = later();
  const anew = [];
  const { photo, of } = openedHere({ answers: { open: () => answer.promise, close: async () => ({}) }, anew: (id) => anew.push(id) });
  const asked = resync(photo);
  photo.close();
  answer.give(factOf({ content: "another" }));
  await asked;
  assert.deepEqual([anew, of("close")], [[], [["a"]]]);
});

test("a photo that was left and is open again is not closed by a late answer", async () => {
  const answer = later();
  const before = openedHere({ answers: { open: () => answer.promise, close: async () => ({}) } });
  const asked = resync(before.photo);
  before.photo.close();
  openedHere({ store: before.store });
  answer.give(factOf());
  await asked;
  assert.deepEqual(before.of("close"), []);
});

test("a run that was asked for before a reload is not ended by leaving the photo", async () => {
  const answers = { matte: async () => ({ run: 9 }), cancel: async () => ({}) };
  const { photo } = openedHere({ answers });
  await photo.mattes.make("exact", true);
  const run = { run: 9, kind: "exact", share: 0.5, left: 12 };
  const after = openedHere({ answers, fact: factOf({ going: going({ run }) }) });
  after.photo.close();
  assert.deepEqual(after.of("cancel"), []);
});

test("doubtful places of an older matte that come late change nothing", async () => {
  const answers = [later(), later()];
  let asked = 0;
  const { photo, store } = openedHere({ answers: { findings: () => answers[asked++].promise } });
  const both = [photo.mattes.find(3), photo.mattes.find(4)];
  answers[1].give({ findings: [{ kind: "hole" }] });
  await settled();
  answers[0].give({ findings: [{ kind: "island" }] });
  await Promise.all(both);
  assert.deepEqual(store.now.findings, [{ kind: "hole" }]);
});

test("an exact matte of a server that was started anew is not mixed with previews of the next one", () => {
  const { photo } = openedHere({ fact: factOf({ matte: { run: 3, kind: "exact", sequence: 4, box: null } }) });
  photo.sync(factOf());
  assert.equal(photo.scene.exact, null);
});

test("a run that ends while the server is asked is not shown as going on", async () => {
  const answers = [later(), later()];
  let asked = 0;
  const { photo, store } = openedHere({ answers: { open: () => answers[asked++].promise } });
  const synced = resync(photo);
  react(photo, { type: "failed", photo: "a", run: 9, error: "", cancelled: true }, () => {});
  answers[0].give(factOf({ going: going({ run: { run: 9, kind: "exact", share: 0, left: null } }) }));
  answers[1].give(factOf());
  await synced;
  assert.equal(store.now.run, null);
});

test("a tab that has taken over stays the writer though an older answer says otherwise", async () => {
  const old = later();
  let asked = 0;
  const readonly = factOf({ readonly: true, takeable: true });
  const { photo, store } = openedHere({ fact: readonly, answers: { open: async () => (asked++ === 0 ? await old.promise : factOf()) } });
  const synced = resync(photo);
  await photo.takeOver();
  old.give(readonly);
  await synced;
  assert.equal(store.now.photo.readonly, false);
});

test("what waits for strokes that another tab keeps from being sent ends with a sentence", async () => {
  const operate = async () => Promise.reject(new Refusal("another tab paints this photo", 403));
  const { photo, store } = openedHere({ answers: { operate, open: async () => factOf({ readonly: true, takeable: true }) } });
  photo.paint(stroke);
  await settled();
  await photo.mattes.accept();
  assert.match(store.now.message.text, /1 change is not sent, because the photo is open elsewhere/);
  assert.deepEqual([store.now.saving, photo.mattes.accepting], [null, false]);
});

test("a photo that a copy of it keeps from being painted says which one", () => {
  const { photo, store } = openedHere({ fact: factOf({ readonly: true, heldBy: "b.jpg" }) });
  photo.paint(stroke);
  assert.match(store.now.message.text, /a copy of b.jpg/);
});

test("a photo that is opened anew is online again", async () => {
  const other = factOf({ content: "another" });
  const operate = async () => Promise.reject(new Refusal("the photo is not open", 404));
  const made = openedHere({ answers: { operate, open: async () => other } });
  made.photo.paint(stroke);
  await settled();
  assert.equal(made.store.now.online, false);
  made.photo.close();
  const { store } = openedHere({ store: made.store, fact: other });
  assert.deepEqual([store.now.online, store.now.unsent], [true, 0]);
});

test("taking over with a stroke that was not sent shows what the other tab painted", async () => {
  let writes = false;
  const operate = async (...how) => (writes ? await history()(...how) : Promise.reject(new Refusal("another tab paints this photo", 403)));
  const open = async (_, take) => ((writes ||= take), factOf({ readonly: !writes, takeable: !writes, sequence: 9, painted: 9 }));
  const { photo } = openedHere({ answers: { operate, open } });
  const labels = { layer: "labels", level: 0, row: 0, column: 0, revision: 4, width: 1, height: 1, channels: 1, data: Uint8Array.of(128) };
  photo.scene.accept([labels]);
  photo.queue.add({ kind: "stroke" }, stroke);
  await photo.takeOver();
  assert.equal(photo.scene.cache.get("labels", labels), undefined, "the old tile is fetched anew");
  while (photo.queue.unsent) await rest(20);
});

test("a band that was tried with the slider is not shown any longer once something else is laid, undone or refused", async () => {
  const tried = { inside: 9, outside: 9 };
  for (const kind of ["base", "undo", "redo"]) {
    const { photo } = openedHere({ answers: { operate: history() } });
    photo.band(tried, false);
    photo.do({ kind });
    await settled();
    assert.equal(photo.scene.band, null, kind);
  }
  const { photo, store } = openedHere();
  photo.band(tried);
  await resync(photo);
  assert.equal(photo.scene.band, null);
  photo.band(tried);
  photo.taken();
  assert.equal(photo.scene.band, null);
  const { band } = store.now;
  photo.band(tried, true);
  assert.equal(photo.scene.band, null, "a read-only photo lays none");
  assert.notEqual(store.now.band, band, "the sliders are told to go back");
});

test("how saves ended whose photos were left while the tab was hidden is told when it is seen again", async () => {
  const saves = { going: [], ended: [failed, { ...saved, photo: "c", save: "another tab's" }] };
  const photos = strip.photos.map((one) => ({ ...one, state: "done" }));
  const { a, b, store } = await leaving({ save: async () => ({ save: "s" }), session: async () => ({ photos, saves }) });
  await catchUp(a.photo, store); // as the open one, it hears of its save from resync
  assert.equal(store.now.message, null);
  b.photo.api.session = a.photo.api.session;
  await catchUp(b.photo, store);
  assert.equal(store.now.message.text, "a.jpg: The disk is full.");
  assert.deepEqual(store.now.session.photos, photos, "the film strip is as the server has it");
  store.set({ message: null });
  await catchUp(b.photo, store);
  assert.equal(store.now.message, null, "it is told once");
});

test("a save of a photo that was left is told to be lost where the server was started anew", async () => {
  const session = { photos: [{ id: "x", name: "a.jpg", state: "started" }], saves: { going: [], ended: [] } };
  for (const restarted of [false, true]) {
    const { b, store } = await leaving({ save: async () => ({ save: "s" }) });
    b.photo.api.session = async () => (restarted ? session : { ...session, photos: strip.photos });
    await catchUp(b.photo, store);
    assert.equal(store.now.message?.text ?? "", restarted ? "a.jpg: The server was started anew before the files were saved. Save again." : "");
  }
});

test("how a save ended while its photo was left is told also where that photo is open again", async () => {
  const { store, b } = await leaving({ save: async () => ({ save: "s" }) });
  b.photo.close();
  openedHere({ store, saves: b.photo.saves, fact: factOf({ going: going({ ended: [failed] }) }) });
  assert.equal(store.now.message.text, "The disk is full.");
  store.set({ message: null });
  openedHere({ store, saves: b.photo.saves, fact: factOf({ going: going({ ended: [failed] }) }) });
  assert.equal(store.now.message, null, "it is told once");
});

test("the save of another tab ends no wait of this one", async () => {
  const { photo, store } = openedHere({ answers: { save: async () => ({ save: "own" }) } });
  await photo.mattes.accept();
  let went = 0;
  react(photo, { ...saved, save: "other" }, () => went++);
  react(photo, { ...failed, save: "another" }, () => went++);
  assert.deepEqual([store.now.saving, store.now.saved, store.now.message, went], ["own", 4, null, 0]);
  react(photo, { ...saved, save: "own" }, () => went++);
  assert.deepEqual([store.now.saving, store.now.message.text, went], [null, "Saved a_alpha.png.", 1]);
});

test("who takes a photo over takes over what goes on for it, too", async () => {
  const run = { run: 9, kind: "exact", share: 0.5, left: 12 };
  const readonly = factOf({ readonly: true, takeable: true });
  const fact = factOf({ going: going({ run, saving: "s", proposing: "p" }) });
  const { photo, store } = openedHere({ fact: readonly, answers: { open: async () => fact, cancel: async () => ({}) } });
  await photo.takeOver();
  assert.deepEqual([store.now.run, store.now.saving, store.now.proposing], [run, "s", "p"]);
  react(photo, saved, () => {});
  assert.equal(store.now.saving, null);
});

test("a save that goes on when another tab takes the photo over is not told to be lost", async () => {
  const fact = factOf({ readonly: true, takeable: true, going: going({ saving: "s" }) });
  const { photo, store } = openedHere({ answers: { save: async () => ({ save: "s" }), open: async () => fact } });
  await photo.mattes.save({ products: ["trimap"] });
  await resync(photo);
  assert.deepEqual([store.now.saving, store.now.message], ["s", null]);
  react(photo, saved, () => {});
  assert.equal(store.now.message.text, "Saved a_alpha.png.");
});
