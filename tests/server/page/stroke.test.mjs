import assert from "node:assert/strict";
import { test } from "node:test";

import { OperationQueue, Refusal, lastSpans, paintTile, shapeSpans } from "../../../mattecli/server/static/paint/stroke.js";
import { paintSpans, strokeSpans } from "../../../mattecli/server/static/paint/raster.js";

const stroke = { points: [[10, 10, 3], [30, 14, 5]], closed: false, label: 255, over: [0, 128, 255] };
const answer = (sequence) => ({ sequence, refused: "", undoable: sequence, redoable: 0, painted: sequence, changed: [] });

/** A queue whose server is a function; `sent` are the numbers in the order of their arrival. */
function queueWith(server, { sequence = 0, behind = async () => sequence } = {}) {
  const log = { sent: [], answered: [], failed: [], pauses: [] };
  const queue = new OperationQueue({
    sequence,
    behind,
    send: async (number, operation) => {
      log.sent.push(number);
      return server(number, operation);
    },
    answered: (entry, { sequence: number }) => log.answered.push(number),
    failed: (entry, error) => log.failed.push(error.message),
    changed: () => {},
    wait: async (time) => void log.pauses.push(time),
  });
  return { queue, log };
}

const settled = () => new Promise((done) => setTimeout(done, 5));

test("operations are numbered and sent one after another", async () => {
  let running = 0;
  const { queue, log } = queueWith(async (sequence) => {
    assert.equal(++running, 1);
    await settled();
    running--;
    return answer(sequence);
  }, { sequence: 7 });
  for (let i = 0; i < 3; i++) queue.add({ kind: "undo" });
  assert.equal(queue.unsent, 3);
  while (queue.unsent) await settled();
  assert.deepEqual(log.sent, [8, 9, 10]);
  assert.deepEqual(log.answered, [8, 9, 10]);
});

test("an operation without an answer is sent again under its number, later and later", async () => {
  let tries = 0;
  const { queue, log } = queueWith(async (sequence) => {
    if (++tries < 4) throw new TypeError("the network is gone");
    return answer(sequence);
  });
  queue.add({ kind: "stroke" }, stroke);
  queue.add({ kind: "stroke" }, stroke);
  while (queue.unsent) await settled();
  assert.deepEqual(log.sent, [1, 1, 1, 1, 2]);
  assert.deepEqual(log.pauses, [250, 500, 1000]);
  assert.equal(queue.online, true);
});

test("what a server does not know any more gets new numbers", async () => {
  let known = 3;
  const { queue, log } = queueWith(async (sequence) => {
    if (sequence !== known + 1) throw new Refusal("too early", 409);
    known = sequence;
    return answer(sequence);
  }, { sequence: 5, behind: async () => known });
  queue.add({ kind: "stroke" });
  queue.add({ kind: "undo" });
  while (queue.unsent) await settled();
  assert.deepEqual(log.sent, [6, 4, 5]);
  assert.equal(queue.last, 5);
});

test("what the server calls wrong is dropped, with its reason, and the next one goes on", async () => {
  const { queue, log } = queueWith(async (sequence, { kind }) => {
    if (kind === "wrong") throw new Refusal("no such label", 400);
    return answer(sequence);
  });
  queue.add({ kind: "wrong" });
  queue.add({ kind: "undo" });
  while (queue.unsent) await settled();
  assert.deepEqual(log.failed, ["no such label"]);
  assert.deepEqual(log.sent, [1, 1]);
});

test("a server that was started anew, and refuses the old token, gets the strokes once it takes them", async () => {
  let tries = 0;
  const { queue, log } = queueWith(async (sequence) => {
    if (++tries < 3) throw new Refusal("the token is wrong", 403);
    return answer(sequence);
  });
  queue.add({ kind: "stroke" }, stroke);
  while (queue.unsent) await settled();
  assert.deepEqual(log.answered, [1]);
  assert.deepEqual(log.failed, []);
  assert.equal(log.pauses.length, 2, "it is not asked without a pause");
});

test("where another tab has the photo, strokes on their way are lost, and that is said", async () => {
  const { queue, log } = queueWith(async () => {
    throw new Refusal("the photo is open in another tab", 403);
  }, { behind: async () => null });
  queue.add({ kind: "stroke" }, stroke);
  queue.add({ kind: "stroke" }, stroke);
  while (queue.unsent) await settled();
  assert.deepEqual(log.failed, ["the photo is open in another tab"]);
  assert.deepEqual(queue.entries, []);
});

test("a stroke is kept after its answer until it is drawn from the server's labels", async () => {
  const { queue } = queueWith(async (sequence) => answer(sequence));
  queue.add({ kind: "stroke" }, stroke);
  queue.add({ kind: "undo" });
  while (queue.unsent) await settled();
  queue.settle(() => false);
  assert.deepEqual(queue.entries.map(({ sequence }) => sequence), [1]);
  queue.settle(() => true);
  assert.deepEqual(queue.entries, []);
});

test("a refused stroke vanishes", async () => {
  const { queue } = queueWith(async (sequence) => ({ ...answer(sequence), refused: "too large" }));
  queue.add({ kind: "stroke" }, stroke);
  while (queue.unsent) await settled();
  queue.settle(() => false);
  assert.deepEqual(queue.entries, []);
});

test("tiles painted piece by piece equal the whole stroke", () => {
  const size = { width: 40, height: 24 };
  const whole = new Uint8Array(size.width * size.height).fill(128);
  paintSpans(strokeSpans(stroke.points, size), whole, size.width, 255);
  for (const left of [0, 16, 32]) {
    const width = Math.min(16, size.width - left);
    const tile = { data: new Uint8Array(width * 24).fill(128), shares: false, left, top: 0, width, height: 24 };
    paintTile(lastSpans(stroke, 0, size), stroke, tile);
    for (let row = 0; row < 24; row++) {
      const expected = whole.subarray(row * size.width + left, row * size.width + left + width);
      assert.deepEqual(tile.data.subarray(row * width, (row + 1) * width), expected);
    }
  }
});

test("a restricted stroke paints only over the labels that it may", () => {
  const tile = { data: Uint8Array.from([0, 128, 255]), shares: false, left: 0, top: 0, width: 3, height: 1 };
  const rect = paintTile([0, 0, 3], { label: 255, over: [128] }, tile);
  assert.deepEqual([...tile.data], [0, 255, 255]);
  assert.deepEqual(rect, { left: 0, top: 0, right: 3, bottom: 1 });
});

test("an outline is drawn at coarser levels, too", () => {
  const square = { points: [[4, 4, 0], [12, 4, 0], [12, 12, 0], [4, 12, 0]], closed: true, label: 0, over: [255] };
  assert.deepEqual(shapeSpans(square, 2, { width: 8, height: 8 }), [1, 1, 3, 2, 1, 3]);
});

test("a stroke that keeps to similar colours paints only those", () => {
  const photo = Uint8Array.from([100, 100, 100, 140, 100, 100, 90, 110, 99]);
  const tile = { data: new Uint8Array(3), shares: false, left: 0, top: 0, width: 3, height: 1, photo };
  paintTile([0, 0, 3], { label: 255, over: [0, 128, 255], colours: [[90, 90, 90], [110, 110, 110]] }, tile);
  assert.deepEqual([...tile.data], [255, 0, 255]);
});
