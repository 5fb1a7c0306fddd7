import assert from "node:assert/strict";
import { test } from "node:test";

import { sentence } from "../../../mattecli/server/static/sentence.js";

test("a message becomes a sentence, and names of files stay as they are", () => {
  assert.equal(sentence("nothing is marked; add a stroke"), "Nothing is marked; add a stroke.");
  assert.equal(sentence("Done."), "Done.");
  assert.equal(sentence("photos/a.jpg is damaged"), "photos/a.jpg is damaged.");
  assert.equal(sentence("img_12.png is gone"), "img_12.png is gone.");
});
