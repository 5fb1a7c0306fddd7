import assert from "node:assert/strict";
import { test } from "node:test";

import { dragged, grip } from "../../../mattecli/server/static/paint/box.js";

const picture = { width: 100, height: 80 };

test("a box can be dragged in any direction, and ends at the picture's edge", () => {
  assert.deepEqual(dragged(null, null, [50.4, 60.6], [-20, 10], picture), [0, 10, 50, 61]);
  assert.deepEqual(dragged(null, null, [50, 60], [500, 500], picture), [50, 60, 100, 80]);
});

test("a click makes no box", () => {
  assert.equal(dragged(null, null, [50, 60], [50.2, 60.3], picture), null);
});

test("a side or a corner is held where the pointer is near it, and moves alone", () => {
  const box = [20, 10, 60, 70];
  assert.deepEqual(grip(box, [21, 40], 3), { x: 0, y: null });
  assert.deepEqual(grip(box, [59, 72], 3), { x: 2, y: 3 });
  assert.equal(grip(box, [40, 40], 3), null);
  assert.equal(grip(box, [90, 10], 3), null);
  assert.deepEqual(dragged(box, { x: 0, y: null }, [21, 40], [30, 5], picture), [30, 10, 60, 70]);
  assert.deepEqual(dragged(box, { x: 2, y: 3 }, [59, 72], [10, 75], picture), [10, 10, 20, 75]);
});
