import assert from "node:assert/strict";
import { test } from "node:test";

import { following, isSeen, left } from "../../../mattecli/server/static/findings.js";

const at = (x, kind = "hole") => ({ kind, text: "", x, y: 5, size: 9, box: [x - 5, 0, x + 5, 10] });
const places = [at(10), at(30), at(50), at(70)];

test("the next finding is one that was not looked at, and after all of them the next one", () => {
  assert.equal(following(places, [], -1, 1), 0);
  assert.equal(following(places, [places[1]], 0, 1), 2);
  assert.equal(following(places, [places[0], places[3]], 2, 1), 1);
  assert.equal(following(places, places, 1, 1), 2);
  assert.equal(following(places, places, 3, 1), 0);
});

test("the finding before is the one before", () => {
  assert.equal(following(places, places, 2, -1), 1);
  assert.equal(following(places, [], 0, -1), 3);
  assert.equal(following(places, [], -1, -1), 3);
});

test("a finding of a newer matte is known by its kind and place", () => {
  const seen = [at(10)];
  assert.equal(isSeen(at(12), seen), true);
  assert.equal(isSeen(at(12, "grey"), seen), false);
  assert.equal(isSeen(at(40), seen), false);
  assert.equal(isSeen({ ...at(10), box: [0, 0, 300, 300] }, seen), false, "it is in another that is much larger");
  assert.equal(left(places, [at(31), at(71)]), 2);
});
