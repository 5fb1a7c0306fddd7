import assert from "node:assert/strict";
import { test } from "node:test";

import { TileCache, boxOf, placesIn, rangeOf } from "../../../mattecli/server/static/view/tiles.js";

const levels = [[2000, 1500], [1000, 750], [500, 375], [250, 188]];

function tile(layer, level, row, column, revision, bytes = 16) {
  return { layer, level, row, column, revision, height: 4, width: 4, channels: 1, data: new Uint8Array(bytes) };
}

test("a range has the tiles that a box touches, and no others", () => {
  assert.deepEqual(rangeOf({ left: 256, top: 0, right: 512, bottom: 257 }, 0, levels), {
    level: 0, top: 0, left: 1, bottom: 2, right: 2,
  });
  const all = { left: 0, top: 0, right: 2000, bottom: 1500 };
  assert.deepEqual(rangeOf(all, 0, levels), { level: 0, top: 0, left: 0, bottom: 6, right: 8 });
  assert.deepEqual(rangeOf(all, 3, levels), { level: 3, top: 0, left: 0, bottom: 1, right: 1 });
});

test("the places of a range start in the middle", () => {
  const places = placesIn({ level: 0, top: 0, left: 0, bottom: 3, right: 3 });
  assert.equal(places.length, 9);
  assert.deepEqual(places[0], { level: 0, row: 1, column: 1 });
});

test("a tile at the end of the picture is cut off there", () => {
  assert.deepEqual(boxOf({ level: 1, row: 2, column: 3 }, levels), { left: 1536, top: 1024, right: 2000, bottom: 1500 });
});

test("an operation makes its tiles old at every level, until newer ones come", () => {
  const cache = new TileCache({ levels });
  cache.put(tile("labels", 0, 2, 5, 3));
  cache.put(tile("labels", 0, 2, 4, 3));
  cache.put(tile("labels", 2, 0, 1, 3));
  cache.changed([[2, 5]], 4);
  assert.equal(cache.fresh("labels", { level: 0, row: 2, column: 5 }), false);
  assert.equal(cache.fresh("labels", { level: 0, row: 2, column: 4 }), true);
  assert.equal(cache.fresh("labels", { level: 2, row: 0, column: 1 }), false);
  assert.ok(cache.get("labels", { level: 0, row: 2, column: 5 }), "it is drawn until the newer one is there");
  cache.put(tile("labels", 0, 2, 5, 6));
  assert.equal(cache.fresh("labels", { level: 0, row: 2, column: 5 }), true);
});

test("an answer that comes late never replaces a newer tile", () => {
  const cache = new TileCache({ levels });
  cache.put(tile("labels", 0, 0, 0, 7));
  assert.equal(cache.put(tile("labels", 0, 0, 0, 6)), false);
  assert.equal(cache.get("labels", { level: 0, row: 0, column: 0 }).revision, 7);
});

test("a new matte makes all alpha old, and refuses what is left of the one before", () => {
  const cache = new TileCache({ levels });
  cache.put(tile("alpha", 0, 0, 0, "a"));
  cache.renew("alpha", "b");
  assert.equal(cache.fresh("alpha", { level: 0, row: 0, column: 0 }), false);
  assert.equal(cache.put(tile("alpha", 0, 0, 0, "a")), false);
  assert.equal(cache.put(tile("alpha", 0, 0, 0, "b")), true);
  assert.equal(cache.fresh("alpha", { level: 0, row: 0, column: 0 }), true);
});

test("a stroke is drawn as long as tiles that it changed are older", () => {
  const cache = new TileCache({ levels });
  cache.put(tile("labels", 0, 0, 0, 0));
  cache.put(tile("labels", 0, 0, 1, 0));
  cache.changed([[0, 0]], 1);
  assert.equal(cache.olderThan(1, { left: 10, top: 10, right: 20, bottom: 20 }), true);
  assert.equal(cache.olderThan(1, { left: 300, top: 10, right: 320, bottom: 20 }), false);
  cache.put(tile("labels", 0, 0, 0, 1));
  assert.equal(cache.olderThan(1, { left: 10, top: 10, right: 20, bottom: 20 }), false);
});

test("labels out of view that a stroke made old are forgotten, and so keep no stroke waiting", () => {
  const cache = new TileCache({ levels });
  for (const [level, column] of [[0, 0], [0, 1], [1, 0]]) cache.put(tile("labels", level, 0, column, 0));
  cache.changed([[0, 0]], 1);
  assert.deepEqual([...cache.forgetOld(({ level }) => level === 0)], ["1/0/0"]);
  assert.ok(cache.get("labels", { level: 0, row: 0, column: 0 }), "what is in view is drawn until the newer one is there");
  assert.equal(cache.bytes, 32);
  cache.put(tile("labels", 0, 0, 0, 1));
  assert.equal(cache.olderThan(1, { left: 10, top: 10, right: 20, bottom: 20 }), false);
});

test("missing tiles are named layer by layer", () => {
  const cache = new TileCache({ levels });
  cache.put(tile("photo", 0, 0, 0, 0));
  assert.deepEqual(cache.missing(["photo", "labels"], [{ level: 0, row: 0, column: 0 }]), [
    { layer: "labels", level: 0, row: 0, column: 0 },
  ]);
});

test("the cache keeps to its bytes, and drops first what was used longest ago", () => {
  const cache = new TileCache({ levels, most: 250 });
  for (const column of [0, 1, 2]) cache.put(tile("photo", 0, 0, column, 0, 100));
  cache.get("photo", { level: 0, row: 0, column: 0 });
  cache.trim(() => false);
  assert.equal(cache.bytes, 200);
  assert.ok(!cache.get("photo", { level: 0, row: 0, column: 1 }));
  cache.put(tile("photo", 0, 0, 3, 0, 100));
  cache.trim(() => true);
  assert.equal(cache.bytes, 300, "tiles in view stay");
});
