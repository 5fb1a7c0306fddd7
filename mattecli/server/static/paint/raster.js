/**
 * Which pixels belong to a stroke or polygon, as spans of rows.
 *
 * `mattecli/server/raster.py` follows the same rules in the same order of operations, so the live stroke of the page
 * equals the labels of the server, pixel for pixel. `tests/server/strokes.json` is shared by the tests of both.
 *
 * The centre of the pixel in row r and column c is (c + 0.5, r + 0.5). Spans are flat arrays of row, first column, and
 * the column after the last one. They lie in the picture; those of a stroke may overlap.
 */

/** Pixels. The formulas for the ends of a row err by less. */
const CLOSE = 1e-4;

/**
 * @typedef {[x: number, y: number, radius: number]} BrushPoint
 * @typedef {[x: number, y: number]} Point
 * @typedef {{height: number, width: number}} Size
 */

/**
 * The pixels of a stroke: those whose centres lie in a capsule between two neighbouring points. A capsule is the union
 * of all discs whose centre and radius run linearly from one point to the next. One point alone is a disc.
 * @param {BrushPoint[]} points
 * @param {Size} size
 * @returns {number[]}
 */
export function strokeSpans(points, size) {
  /** @type {number[]} */
  const spans = [];
  for (let i = 0; i < Math.max(1, points.length - 1); i++) {
    capsuleSpans(points[i], points[Math.min(i + 1, points.length - 1)], size, spans);
  }
  return spans;
}

/**
 * Adds the spans of the capsule between two points, which is the part of a stroke that a pointer event adds.
 * @param {BrushPoint} start
 * @param {BrushPoint} end
 * @param {Size} size
 * @param {number[]} spans
 */
export function capsuleSpans(start, end, size, spans) {
  const [, y0, r0] = start;
  const [, y1, r1] = end;
  const first = Math.floor(Math.min(y0 - r0, y1 - r1) - 0.5);
  const last = Math.ceil(Math.max(y0 + r0, y1 + r1) - 0.5);
  const lines = tangents(start, end);
  for (let row = Math.max(first, 0); row <= Math.min(last, size.height - 1); row++) {
    const [left, right] = columns(start, end, lines, row + 0.5);
    const from = Math.max(left, 0);
    const to = Math.min(right + 1, size.width);
    if (from < to) spans.push(row, from, to);
  }
}

/**
 * The pixels whose centres a closed polygon winds around (the non-zero rule).
 * @param {Point[]} points
 * @param {Size} size
 * @returns {number[]}
 */
export function polygonSpans(points, size) {
  /** @type {Map<number, [column: number, step: number][]>} */
  const rows = new Map();
  points.forEach((start, i) => edgeSteps(start, points[(i + 1) % points.length], size, rows));
  const spans = [];
  for (const [row, steps] of [...rows].sort((a, b) => a[0] - b[0])) {
    let winding = 0;
    let from = 0;
    for (const [column, step] of steps.sort((a, b) => a[0] - b[0])) {
      const before = winding;
      winding += step;
      if (before === 0) from = column;
      if (winding === 0 && from < column) spans.push(row, from, column);
    }
  }
  return spans;
}

/**
 * Writes a value into the pixels of spans.
 * @param {number[]} spans
 * @param {Uint8Array | Uint8ClampedArray} pixels one value a pixel, row by row
 * @param {number} width
 * @param {number} value
 */
export function paintSpans(spans, pixels, width, value) {
  for (let i = 0; i < spans.length; i += 3) {
    pixels.fill(value, spans[i] * width + spans[i + 1], spans[i] * width + spans[i + 2]);
  }
}

/**
 * @param {Point} start
 * @param {Point} end
 * @param {Size} size
 * @param {Map<number, [number, number][]>} rows
 */
function edgeSteps(start, end, size, rows) {
  const down = start[1] < end[1];
  const [x0, y0] = down ? start : end;
  const [x1, y1] = down ? end : start;
  const first = Math.max(Math.ceil(y0 - 0.5), 0);
  const last = Math.min(Math.ceil(y1 - 0.5) - 1, size.height - 1);
  for (let row = first; row <= last; row++) {
    const crossing = x0 + ((row + 0.5 - y0) * (x1 - x0)) / (y1 - y0);
    const column = Math.min(Math.max(Math.ceil(crossing - 0.5), 0), size.width);
    const steps = rows.get(row) ?? [];
    steps.push([column, down ? 1 : -1]);
    rows.set(row, steps);
  }
}

/**
 * The first and the last column of a capsule in the row whose centre is y; the first is greater where there is none.
 * @param {BrushPoint} start
 * @param {BrushPoint} end
 * @param {number[][]} lines
 * @param {number} y
 * @returns {[number, number]}
 */
function columns(start, end, lines, y) {
  let low = Infinity;
  let high = -Infinity;
  for (const [x, middle, r] of [start, end]) {
    const off = y - middle;
    const rest = r * r - off * off;
    if (rest >= 0) {
      low = Math.min(low, x - Math.sqrt(rest));
      high = Math.max(high, x + Math.sqrt(rest));
    }
  }
  for (const [ax, ay, bx, by] of lines) {
    if (ay !== by && Math.min(ay, by) <= y && y <= Math.max(ay, by)) {
      const x = ax + (y - ay) * ((bx - ax) / (by - ay));
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
  }
  if (low > high) return [1, 0];
  return [endOf(start, end, low - 0.5, y, 1), endOf(start, end, high - 0.5, y, -1)];
}

/**
 * The last column within the capsule at one end of a row. Where a centre is nearly on the edge, `inside` decides.
 * @param {BrushPoint} start
 * @param {BrushPoint} end
 * @param {number} exact
 * @param {number} y
 * @param {1 | -1} inward
 */
function endOf(start, end, exact, y, inward) {
  let nearest = Math.floor(exact + 0.5);
  if (Math.abs(exact - nearest) >= CLOSE) return inward > 0 ? Math.ceil(exact) : Math.floor(exact);
  if (!inside(start, end, nearest + 0.5, y)) nearest += inward;
  return nearest;
}

/**
 * The ends x, y, x, y of the two lines that touch both discs, at one normal.
 * @param {BrushPoint} start
 * @param {BrushPoint} end
 * @returns {number[][]}
 */
function tangents([x0, y0, r0], [x1, y1, r1]) {
  const [dx, dy, dr] = [x1 - x0, y1 - y0, r1 - r0];
  const square = dx * dx + dy * dy;
  const a = square - dr * dr;
  if (!(a > 0)) return [];
  const root = Math.sqrt(a);
  return [1, -1].map((side) => {
    const nx = (-dr * dx - side * root * dy) / square;
    const ny = (-dr * dy + side * root * dx) / square;
    return [x0 + r0 * nx, y0 + r0 * ny, x1 + r1 * nx, y1 + r1 * ny];
  });
}

/**
 * The rule: the disc that comes nearest to (x, y), at t from 0 to 1 along the capsule, holds it.
 * @param {BrushPoint} start
 * @param {BrushPoint} end
 * @param {number} x
 * @param {number} y
 */
function inside([x0, y0, r0], [x1, y1, r1], x, y) {
  const [dx, dy, dr] = [x1 - x0, y1 - y0, r1 - r0];
  const [vx, vy] = [x - x0, y - y0];
  const a = dx * dx + dy * dy - dr * dr; // 0 or less: one end lies in the other
  let t = dr > 0 ? 1 : 0;
  if (a > 0) t = Math.min(Math.max((vx * dx + vy * dy + r0 * dr) / a, 0), 1);
  const [ex, ey, r] = [vx - t * dx, vy - t * dy, r0 + t * dr];
  return ex * ex + ey * ey <= r * r;
}
