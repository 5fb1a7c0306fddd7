import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Held } from "../../../mattecli/server/static/paint/held.js";

test("the server is told each second that the pointer is down, and once that it is up", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const told = [];
  let runs = true;
  const held = new Held({ tell: (down) => told.push(down), running: () => runs });
  held.press();
  mock.timers.tick(2500);
  held.release();
  held.release();
  mock.timers.tick(5000);
  assert.deepEqual(told, [true, true, true, false]);
  runs = false;
  held.press();
  mock.timers.tick(1500);
  assert.equal(told.length, 4, "nothing is said while there is no run");
  runs = true; // it starts during the stroke
  mock.timers.tick(1000);
  held.release();
  assert.deepEqual(told.slice(4), [true, false]);
  mock.timers.reset();
});
