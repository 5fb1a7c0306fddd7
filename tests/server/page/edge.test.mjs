import assert from "node:assert/strict";
import { test } from "node:test";

import { begun, followed } from "../../../mattecli/server/static/paint/edge.js";

const RADIUS = 16;

/** A picture of 400 × 400 from a function that says how much of a pixel is inside, with a little noise. */
function search(inside, { one = [60, 90, 40], other = [170, 150, 160], radius = RADIUS } = {}) {
  const colours = (x, y) => {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= 400 || row >= 400) return null;
    const share = Math.min(Math.max(inside(column + 0.5, row + 0.5), 0), 1);
    const noise = ((column * 7919 + row * 104729 + column * row * 31) % 13) - 6;
    return one.map((value, c) => value + share * (other[c] - value) + noise);
  };
  return { colours, radius, pixel: 1 };
}

/** The points of the edge along a way of the cursor. */
function along(way, how) {
  let trail = begun(way[0], how);
  const points = [trail.at];
  for (const to of way.slice(1)) {
    const found = followed(trail, to, how);
    trail = found.trail;
    points.push(...found.points);
  }
  return points;
}

/** The greatest distance between neighbouring points, in steps of the brush. */
function longestStep(points) {
  const lengths = points.slice(1).map(([x, y], i) => Math.hypot(x - points[i][0], y - points[i][1]));
  return Math.max(...lengths) / (RADIUS / 8);
}

const numbers = (count, one) => Array.from({ length: count }, (_, i) => one(i));

test("a straight edge is followed although the cursor sways", () => {
  const edge = (x) => 200 + 0.2 * (x - 200);
  const how = search((x, y) => y - edge(x) + 0.5);
  const way = numbers(80, (i) => [60 + 3.5 * i, edge(60 + 3.5 * i) + 9 * Math.sin(i / 5)]);
  const points = along(way, how);
  assert.ok(points.length > 100);
  for (const [x, y] of points) assert.ok(Math.abs(y - edge(x)) < 1.2, `${x}, ${y}`);
  assert.ok(longestStep(points) <= 2.001);
});

test("a soft edge is followed in its middle", () => {
  const how = search((x, y) => (y - 200) / 10 + 0.5);
  const points = along(numbers(60, (i) => [60 + 4 * i, 206]), how);
  for (const [, y] of points) assert.ok(Math.abs(y - 200) < 2, `${y}`);
});

test("a curve is followed although the cursor cuts it", () => {
  const how = search((x, y) => 90.5 - Math.hypot(x - 200, y - 200));
  const way = numbers(13, (i) => [200 + 95 * Math.cos(i / 2), 200 + 95 * Math.sin(i / 2)]);
  const points = along(way, how);
  for (const [x, y] of points) assert.ok(Math.abs(Math.hypot(x - 200, y - 200) - 90) < 1.5, `${x}, ${y}`);
  assert.ok(longestStep(points) <= 2.001);
});

test("at a corner the trail turns with the cursor and stays near the edge", () => {
  const how = search((x, y) => (x < 220 && y > 180 ? 1 : 0));
  const way = [[120, 184], [214, 176], [226, 190], [224, 300]];
  const points = along(way, how);
  const away = ([x, y]) => Math.min(Math.abs(y - 180) + Math.max(x - 220, 0), Math.abs(x - 220) + Math.max(180 - y, 0));
  for (const point of points) assert.ok(away(point) < 6, `${point}`);
  assert.ok(Math.abs(points.at(-1)[0] - 220) < 1.2);
  assert.ok(longestStep(points) <= 2.001);
});

test("where there is no edge the cursor itself is followed", () => {
  const points = along([[80, 200], [300, 220]], search(() => 0));
  for (const [x, y] of points) assert.ok(Math.abs(y - (200 + ((x - 80) * 20) / 220)) < 0.01);
  const last = points.at(-1);
  assert.ok(Math.hypot(last[0] - 300, last[1] - 220) <= RADIUS / 8);
});

test("a stronger edge beside the one that is followed does not catch the trail", () => {
  const strong = (x, y) => (y > 209 && x > 150 ? 1 : 0);
  const how = search((x, y) => (y > 200 ? 0.3 : 0) + 0.7 * strong(x, y));
  const points = along([[60, 200], [340, 200]], how);
  for (const [, y] of points) assert.ok(Math.abs(y - 200) < 3, `${y}`);
});

test("the trail slides to another edge when the cursor leaves the first one, and does not jump", () => {
  const how = search((x, y) => (y > 150 && y < 230 ? 1 : 0));
  const points = along([[60, 150], [160, 150], [200, 230], [340, 230]], how);
  assert.ok(Math.abs(points[30][1] - 150) < 1.2);
  assert.ok(Math.abs(points.at(-1)[1] - 230) < 1.2);
  assert.ok(longestStep(points) <= 2.001);
});

test("an edge between colours of the same lightness counts, and the border of the picture does not", () => {
  const how = search((x, y) => y - 199.5, { one: [200, 60, 60], other: [60, 131, 60] });
  for (const [, y] of along([[60, 205], [300, 205]], how)) assert.ok(Math.abs(y - 200) < 1.2, `${y}`);
  for (const [, y] of along([[60, 5], [300, 5]], search(() => 0))) assert.ok(Math.abs(y - 5) < 0.01, `${y}`);
});

test("a cursor that only rests finds the strongest edge in all directions", () => {
  const how = search((x, y) => x + y - 400.5);
  const [x, y] = begun([196, 197], how).at;
  assert.ok(Math.abs(x + y - 400) < 2, `${x}, ${y}`);
  assert.deepEqual(begun([100, 100], search(() => 0)).at, [100, 100]);
});
