// The brush of the page against the exact pixels in strokes.json. Run by `node --test`, and from test_raster.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { capsuleSpans, paintSpans, polygonSpans, strokeSpans } from "../../mattecli/server/static/paint/raster.js";

const golden = JSON.parse(readFileSync(new URL("strokes.json", import.meta.url), "utf-8"));

function painted(spans) {
  const pixels = new Uint8Array(golden.height * golden.width);
  paintSpans(spans, pixels, golden.width, 255);
  return pixels;
}

for (const [kind, spansOf] of [["strokes", strokeSpans], ["polygons", polygonSpans]]) {
  for (const { name, points, runs } of golden[kind]) {
    test(`${kind}: ${name}`, () => {
      assert.deepEqual(painted(spansOf(points, golden)), painted(runs.flat()));
    });
  }
}

test("a stroke grows by one capsule for each point", () => {
  const { points } = golden.strokes.find(({ name }) => name === "many points");
  const spans = [];
  for (let i = 1; i < points.length; i++) capsuleSpans(points[i - 1], points[i], golden, spans);
  assert.deepEqual(spans, strokeSpans(points, golden));
});

test("painting leaves all other pixels as they are", () => {
  const pixels = new Uint8Array(12).fill(7);
  paintSpans([1, 1, 3], pixels, 4, 9);
  assert.deepEqual([...pixels], [7, 7, 7, 7, 7, 9, 9, 7, 7, 7, 7, 7]);
});
