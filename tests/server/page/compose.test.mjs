import assert from "node:assert/strict";
import { test } from "node:test";

import {
  BACKGROUND_COLOUR, FOREGROUND_COLOUR, UNKNOWN_COLOUR, alphaOfLabels, aroundPreview, composed, withBand,
} from "../../../mattecli/server/static/view/compose.js";

const photo = Uint8Array.from([100, 110, 120, 10, 20, 30, 200, 210, 220]);
const labels = Uint8Array.from([255, 128, 0]);
const tile = { width: 3, height: 1, photo, labels };
const view = { kind: "labels", overlay: "tint", strength: 0.5, gamma: 1 };

const rows = (pixels) => Array.from({ length: pixels.length / 4 }, (_, i) => [...pixels.subarray(4 * i, 4 * i + 4)]);

test("a tint mixes photo and label's colour, and less of the unknown's", () => {
  const expected = [[FOREGROUND_COLOUR, 0.5], [UNKNOWN_COLOUR, 0.3], [BACKGROUND_COLOUR, 0.5]].map(([colour, share], i) =>
    [...colour.map((value, c) => value * share + photo[3 * i + c] * (1 - share)), 255]);
  const found = rows(composed(tile, view));
  found.forEach((pixel, i) => pixel.forEach((value, c) => assert.ok(Math.abs(value - expected[i][c]) <= 1)));
});

test("shares at coarser levels mix as the labels below them do", () => {
  const shares = { ...tile, labels: Uint8Array.from([255, 0, 0, 255, 0, 0]), shares: true };
  assert.deepEqual(composed(shares, view), composed(tile, view));
});

test("only the unknown part stays bright", () => {
  const found = rows(composed(tile, { ...view, overlay: "bright" }));
  assert.deepEqual(found[1], [10, 20, 30, 255]);
  assert.deepEqual(found[0], [30, 33, 36, 255]);
});

test("borders leave the photo alone, except where labels meet", () => {
  const found = rows(composed(tile, { ...view, overlay: "borders" }));
  assert.deepEqual(found[0], [...FOREGROUND_COLOUR, 255]);
  assert.deepEqual(found[1], [...BACKGROUND_COLOUR, 255]);
  assert.deepEqual(found[2], [200, 210, 220, 255]);
});

test("a cut-out has the matte's transparency, and the foreground's colours where they are known", () => {
  const alpha = Uint8Array.from([255, 100, 0]);
  const colours = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(rows(composed({ ...tile, alpha, colours }, { ...view, kind: "cutout" }))[1], [4, 5, 6, 100]);
  const found = rows(composed({ ...tile, alpha }, { ...view, kind: "cutout" }));
  assert.deepEqual(found, [[100, 110, 120, 255], [10, 20, 30, 100], [200, 210, 220, 0]]);
  assert.deepEqual(rows(composed({ ...tile, alpha }, { ...view, kind: "alpha" }))[1], [100, 100, 100, 255]);
});

test("without a matte the alpha view shows what is known, and the cut-out the photo", () => {
  assert.deepEqual(rows(composed(tile, { ...view, kind: "alpha" })).map(([grey]) => grey), [255, 128, 0]);
  assert.deepEqual(rows(composed(tile, { ...view, kind: "cutout" }))[1], [10, 20, 30, 255]);
});

test("a part of a tile has the pixels of the whole", () => {
  const part = composed(tile, view, { left: 1, top: 0, right: 3, bottom: 1 });
  assert.deepEqual(part, composed(tile, view).subarray(4).slice());
});

test("gamma brightens the photo", () => {
  const [first] = rows(composed(tile, { ...view, kind: "photo", gamma: 2 }));
  assert.deepEqual(first.slice(0, 3), [100, 110, 120].map((value) => Math.round(255 * Math.sqrt(value / 255))));
});

test("the band is a threshold of the distances, and paint stays", () => {
  const distances = Int16Array.from([16, 17, 48, -16, -33, 0, -32768]);
  const now = Uint8Array.from([9, 9, 9, 9, 9, 9, 255]);
  assert.deepEqual([...withBand(now, distances, { inside: 1, outside: 2 }, false)], [128, 255, 255, 128, 0, 128, 255]);
});

test("around a preview's box lies the last exact matte, or what the labels say", () => {
  const preview = Uint8Array.from([1, 2, 3]);
  const middle = { left: 1, top: -5, right: 2, bottom: 9 };
  assert.deepEqual([...aroundPreview(preview, middle, Uint8Array.from([7, 8, 9]), tile)], [7, 2, 9]);
  assert.deepEqual([...aroundPreview(preview, middle, alphaOfLabels(tile), tile)], [255, 2, 0]);
  const away = { left: 40, top: 0, right: 50, bottom: 1 };
  assert.deepEqual([...aroundPreview(preview, away, alphaOfLabels(tile), tile)], [255, 128, 0]);
  const colours = new Uint8Array(9).fill(5);
  assert.deepEqual([...aroundPreview(colours, middle, photo, tile)], [100, 110, 120, 5, 5, 5, 200, 210, 220]);
});

test("new paint shows in the matte at once, and the matte stays where labels are unknown", () => {
  const painted = { ...tile, labels: Uint8Array.from([255, 0, 128]), alpha: Uint8Array.from([10, 200, 90]) };
  assert.deepEqual(rows(composed(painted, { ...view, kind: "alpha" })).map(([grey]) => grey), [255, 0, 90]);
  assert.deepEqual(rows(composed(painted, { ...view, kind: "cutout" })).map((pixel) => pixel[3]), [255, 0, 90]);
});
