import assert from "node:assert/strict";
import { test } from "node:test";

import * as transform from "../../../mattecli/server/static/view/transform.js";

const view = { width: 1183, height: 731 };
const picture = { width: 2000, height: 1500 };

test("fit shows the whole picture in the middle, and does not enlarge a small one", () => {
  const fitted = transform.fitted(picture, view);
  const [right, bottom] = transform.toView(fitted, picture.width, picture.height);
  assert.ok(fitted.left >= 24 && fitted.top >= 24 - 1 && right <= view.width && bottom <= view.height - 23);
  assert.ok(Math.abs(fitted.left + right - view.width) <= 1);
  assert.equal(transform.fitted({ width: 20, height: 30 }, view).scale, 1);
});

test("zoom keeps the point under the cursor, to half a device pixel at each step", () => {
  let now = transform.fitted(picture, view);
  for (const scale of [0.5, 1, 3.7, 32, 0.137]) {
    const before = transform.toPicture(now, 401, 233);
    now = transform.scaled(now, scale, 401, 233);
    const [x, y] = transform.toView(now, ...before);
    assert.ok(Math.abs(x - 401) <= 0.5 + 1e-9 && Math.abs(y - 233) <= 0.5 + 1e-9, String(scale));
  }
});

test("at 1:1 each pixel of the picture is one device pixel, wherever it was moved", () => {
  const now = transform.moved(transform.scaled(transform.fitted(picture, view), 1, 77.25, 31.6), 3.4, -9.7);
  for (let x = 0; x < 300; x++) {
    const { left, right } = transform.drawnBox(now, { left: x, top: 0, right: x + 1, bottom: 1 });
    assert.equal(right - left, 1);
    assert.equal(left, now.left + x);
  }
});

test("neighbouring boxes have no gap and do not overlap at any scale", () => {
  for (const scale of [0.137, 0.61, 1, 1.25, 3.7, 31.99]) {
    const now = transform.scaled({ scale: 1, left: 13, top: -7 }, scale, 5, 5);
    for (let column = 0; column < 8; column++) {
      const a = transform.drawnBox(now, { left: column * 256, right: column * 256 + 256, top: 0, bottom: 256 });
      const b = transform.drawnBox(now, { left: column * 256 + 256, right: column * 256 + 512, top: 256, bottom: 512 });
      assert.equal(a.right, b.left);
      assert.equal(a.bottom, b.top);
    }
  }
});

test("view to picture and back is the same point", () => {
  const now = { scale: 3.7, left: -1201, top: 88 };
  const [x, y] = transform.toView(now, ...transform.toPicture(now, 311.25, 7.75));
  assert.ok(Math.abs(x - 311.25) < 1e-9 && Math.abs(y - 7.75) < 1e-9);
});

test("the level that is drawn is never enlarged, except the finest", () => {
  assert.deepEqual(
    [32, 1, 0.99, 0.5, 0.499, 0.25, 0.137, 0.001].map((scale) => transform.levelFor(scale, 5)),
    [0, 0, 0, 1, 1, 2, 2, 4],
  );
});

test("a part of the picture always stays in view, and the scale has bounds", () => {
  const away = transform.bounded({ scale: 1, left: 90_000, top: -90_000 }, picture, view);
  assert.ok(away.left < view.width && away.top + picture.height > 0);
  assert.equal(transform.bounded({ scale: 500, left: 0, top: 0 }, picture, view).scale, 32);
  assert.equal(transform.bounded({ scale: 1e-6, left: 0, top: 0 }, picture, view).scale, transform.least(picture, view));
});

test("steps of zoom meet 1:1 and always go on", () => {
  assert.equal(transform.stepped(0.7, 1), 1);
  assert.equal(transform.stepped(1, 1), 2);
  assert.equal(transform.stepped(1, -1), 0.5);
  assert.equal(transform.stepped(1.2, -1), 1);
});

test("the visible box covers the view and lies in the picture", () => {
  const now = { scale: 3.7, left: -1201, top: 88 };
  const box = transform.visibleBox(now, picture, view);
  assert.deepEqual(box, { left: 324, top: 0, right: 645, bottom: 174 });
});
