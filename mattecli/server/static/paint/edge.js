/**
 * The edge brush: from the way of a cursor to the strongest edge beside it.
 *
 * The cursor is followed in small steps. At each step the photo's colours are read along a line across the way, as far as
 * the brush reaches. The edge is where the colours before and behind differ most. Edges near the one that is followed
 * count more than others. The place found moves at most two steps at a time, so it slides to another edge and never jumps.
 *
 * @typedef {[x: number, y: number]} Point
 * @typedef {(x: number, y: number) => Uint8Array | number[] | null} Colours of the photo at a point, red, green and blue from 0
 *   to 255; null where they are unknown
 * @typedef {{colours: Colours, radius: number, pixel: number}} Search
 *   radius: of the brush; pixel: the side of a pixel of `colours`. Both in pixels of the picture
 * @typedef {{cursor: Point, at: Point, along: Point | null}} Trail
 *   cursor: how far it was followed; at: the edge there, or the cursor; along: the direction of the way, of length 1
 */

const STEPS = 8; // of which the brush's radius is as long
const SAMPLES = 96; // on each side of the cursor at most
const WEAKEST = 10; // of 255: the least difference of colours that counts as an edge
const ELSEWHERE = 0.15; // what an edge counts that is far from the one that is followed
const BEHIND = 0.7; // the share of the old direction in the new one
const DIRECTIONS = 12; // in which the first edge is looked for

/**
 * The edge nearest to a cursor that has just come.
 * @param {Point} cursor
 * @param {Search} search
 * @returns {Trail}
 */
export function begun(cursor, search) {
  let best = { strength: 0, offset: 0 };
  let [nx, ny] = [0, 0];
  for (let i = 0; i < DIRECTIONS; i++) {
    const angle = (Math.PI * i) / DIRECTIONS;
    const across = /** @type {Point} */ ([Math.cos(angle), Math.sin(angle)]);
    const found = strongest(cursor, across, 0, search);
    if (found.strength <= best.strength) continue;
    best = found;
    [nx, ny] = across;
  }
  return { cursor, at: [cursor[0] + best.offset * nx, cursor[1] + best.offset * ny], along: null };
}

/**
 * Follows the cursor to a point. Gives the trail, and the points of the edge on the way there.
 * @param {Trail} trail
 * @param {Point} to
 * @param {Search} search
 * @returns {{trail: Trail, points: Point[]}}
 */
export function followed(trail, to, search) {
  const step = Math.max(search.radius / STEPS, search.pixel);
  /** @type {Point[]} */
  const points = [];
  for (;;) {
    const [dx, dy] = [to[0] - trail.cursor[0], to[1] - trail.cursor[1]];
    const left = Math.hypot(dx, dy);
    if (left < step) return { trail, points };
    trail = stepped(trail, [dx / left, dy / left], step, search);
    points.push(trail.at);
  }
}

/**
 * @param {Trail} trail
 * @param {Point} motion of length 1
 * @param {number} step
 * @param {Search} search
 * @returns {Trail}
 */
function stepped({ cursor: [x, y], at, along: before }, motion, step, search) {
  const along = turned(before, motion);
  const cursor = /** @type {Point} */ ([x + step * motion[0], y + step * motion[1]]);
  const across = /** @type {Point} */ ([-along[1], along[0]]);
  const expected = (at[0] - cursor[0]) * across[0] + (at[1] - cursor[1]) * across[1];
  const { offset, strength } = strongest(cursor, across, expected, search);
  const wanted = strength > 0 ? offset : 0;
  const [dx, dy] = [cursor[0] + wanted * across[0] - at[0], cursor[1] + wanted * across[1] - at[1]];
  const share = Math.min(1, (2 * step) / Math.max(Math.hypot(dx, dy), 1e-9));
  return { cursor, at: [at[0] + share * dx, at[1] + share * dy], along };
}

/**
 * The direction of the way, which goes on rather than turns at once.
 * @param {Point | null} before
 * @param {Point} motion
 * @returns {Point}
 */
function turned(before, motion) {
  if (!before) return motion;
  const x = BEHIND * before[0] + (1 - BEHIND) * motion[0];
  const y = BEHIND * before[1] + (1 - BEHIND) * motion[1];
  const length = Math.hypot(x, y);
  return length > 0.2 ? [x / length, y / length] : motion; // it turned back
}

/**
 * The strongest edge on a line through the cursor: its offset from the cursor, and its strength, which is 0 for none.
 * @param {Point} cursor
 * @param {Point} across the line's direction
 * @param {number} expected the offset of the edge that is followed
 * @param {Search} search
 */
function strongest(cursor, across, expected, { colours, radius, pixel }) {
  const spacing = Math.max(pixel, radius / SAMPLES);
  const most = Math.max(Math.floor(radius / spacing), 1);
  const wide = Math.min(Math.max(2, Math.round(most / 5)), 8); // samples on each side that are compared
  const sums = summed(cursor, across, spacing, most + wide, colours);
  const strengths = new Float64Array(2 * most + 1);
  let best = { strength: 0, offset: 0, score: 0, index: -1 };
  for (let i = 0; i <= 2 * most; i++) {
    const strength = difference(sums, i, wide);
    strengths[i] = strength;
    const offset = (i - most) * spacing;
    const near = Math.exp(-(((offset - expected) / (radius / 4)) ** 2) / 2);
    const score = strength * (ELSEWHERE + (1 - ELSEWHERE) * near);
    if (strength >= WEAKEST && score > best.score) best = { strength, offset, score, index: i };
  }
  if (best.index < 0) return best;
  return { ...best, offset: (middleOf(strengths, best.index) - most) * spacing };
}

/**
 * Running sums of the colours along a line, three for each sample. Each sample is the mean of five across the line, so
 * that edges in the direction of the way count and noise does not.
 * @param {Point} cursor
 * @param {Point} across
 * @param {number} spacing
 * @param {number} most samples on each side
 * @param {Colours} colours
 */
function summed([x, y], [nx, ny], spacing, most, colours) {
  const sums = new Float64Array(3 * (2 * most + 2));
  /** @type {number[] | null} */
  let last = null; // beyond the picture the last colours go on, which is not an edge
  for (let i = 0; i <= 2 * most; i++) {
    const offset = (i - most) * spacing;
    const mean = meanAlong([x + offset * nx, y + offset * ny], [spacing * ny, -spacing * nx], colours);
    if (mean && !last) for (let j = 0; j < i; j++) for (let c = 0; c < 3; c++) sums[3 * (j + 1) + c] = (j + 1) * mean[c];
    last = mean ?? last;
    if (last) for (let c = 0; c < 3; c++) sums[3 * (i + 1) + c] = sums[3 * i + c] + last[c];
  }
  return sums;
}

/**
 * The mean colour of five points in a row, or null.
 * @param {Point} middle
 * @param {Point} step
 * @param {Colours} colours
 */
function meanAlong([x, y], [dx, dy], colours) {
  const sum = [0, 0, 0];
  let count = 0;
  for (let i = -2; i <= 2; i++) {
    const found = colours(x + i * dx, y + i * dy);
    if (!found) continue;
    for (let c = 0; c < 3; c++) sum[c] += found[c];
    count += 1;
  }
  return count ? sum.map((value) => value / count) : null;
}

/**
 * How much the mean colours of two neighbouring stretches differ, in 255ths of a channel.
 * @param {Float64Array} sums
 * @param {number} index of the sample between them, from the first that has `wide` ones before it
 * @param {number} wide
 */
function difference(sums, index, wide) {
  const middle = index + wide;
  let square = 0;
  for (let c = 0; c < 3; c++) {
    const before = sums[3 * middle + c] - sums[3 * (middle - wide) + c];
    const behind = sums[3 * (middle + 1 + wide) + c] - sums[3 * (middle + 1) + c];
    square += ((behind - before) / wide) ** 2;
  }
  return Math.sqrt(square / 3);
}

/**
 * The middle of the stretch around an index that is nearly as strong, which is that of a soft edge, too.
 * @param {Float64Array} strengths
 * @param {number} index
 */
function middleOf(strengths, index) {
  const least = 0.8 * strengths[index];
  let [first, last] = [index, index];
  while (first > 0 && strengths[first - 1] >= least) first -= 1;
  while (last < strengths.length - 1 && strengths[last + 1] >= least) last += 1;
  return (first + last) / 2;
}
