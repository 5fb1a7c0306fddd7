import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveLabels } from "../../../mattecli/server/static/view/live.js";
import { lastSpans } from "../../../mattecli/server/static/paint/stroke.js";
import { paintSpans, strokeSpans } from "../../../mattecli/server/static/paint/raster.js";

const levels = [[600, 300], [300, 150], [150, 75]];
const size = { width: 600, height: 300 };

function tileAt(column, revision) {
  const width = Math.min(256, 600 - 256 * column);
  const data = new Uint8Array(width * 256).fill(128);
  return { layer: "labels", level: 0, row: 0, column, revision, width, height: 256, channels: 1, data };
}

/** A stroke over the border of the first two tiles. */
function stroke() {
  return { points: [[200, 40, 9.5], [300, 60, 9.5], [310, 90, 12]], closed: false, label: 255, over: [0, 128, 255] };
}

/** The labels of a tile after a stroke on an unknown picture. */
function expected(shape, column, width) {
  const whole = new Uint8Array(600 * 300).fill(128);
  paintSpans(strokeSpans(shape.points, size), whole, 600, shape.label);
  const data = new Uint8Array(width * 256);
  for (let row = 0; row < 256; row++) {
    data.set(whole.subarray(row * 600 + 256 * column, row * 600 + 256 * column + width), row * width);
  }
  return data;
}

test("a stroke that grows point by point equals the whole stroke, in each tile", () => {
  const whole = stroke();
  const live = new LiveLabels(levels, () => []);
  const tiles = [tileAt(0, 0), tileAt(1, 0)];
  live.current = { ...whole, points: [] };
  for (const point of whole.points) {
    live.current.points.push(point);
    const spans = lastSpans(live.current, 0, size);
    for (const tile of tiles) live.over(tile, spans);
  }
  tiles.forEach((tile, column) => assert.deepEqual(live.over(tile).data, expected(whole, column, 256)));
});

test("the server's own tiles are never written to", () => {
  const live = new LiveLabels(levels, () => [{ sequence: 1, shape: stroke() }]);
  const tile = tileAt(0, 0);
  assert.notDeepEqual(live.over(tile).data, tile.data);
  assert.ok(tile.data.every((label) => label === 128));
});

test("a stroke on its way is shown until a tile has its revision", () => {
  const shape = stroke();
  const live = new LiveLabels(levels, () => [{ sequence: 4, shape }]);
  assert.deepEqual(live.over(tileAt(0, 3)).data, expected(shape, 0, 256));
  const newer = tileAt(0, 4);
  assert.equal(live.over(newer).data, newer.data);
});

test("later strokes lie over earlier ones", () => {
  const first = stroke();
  const second = { ...stroke(), label: 0 };
  const live = new LiveLabels(levels, () => [{ sequence: 1, shape: first }, { sequence: 2, shape: second }]);
  assert.deepEqual(live.over(tileAt(0, 0)).data, expected(second, 0, 256));
});

test("the stamp changes with what is shown, and only in tiles that a stroke touches", () => {
  const live = new LiveLabels(levels, () => []);
  const [near, far] = [tileAt(0, 0), tileAt(2, 0)];
  const before = [live.over(near).stamp, live.over(far).stamp];
  live.current = stroke();
  const after = [live.over(near).stamp, live.over(far).stamp];
  assert.notEqual(after[0], before[0]);
  assert.equal(after[1], before[1]);
  assert.equal(live.over(near).stamp, after[0], "asked again, nothing has changed");
});
