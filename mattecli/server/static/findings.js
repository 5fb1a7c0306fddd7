/**
 * Doubtful places: which were looked at, and which comes next.
 *
 * Each matte has findings of its own. One that covers much the same as one of its kind that was looked at counts as looked
 * at, too.
 *
 * @typedef {import("./api.js").Finding} Finding
 */

const SAME = 0.3; // the share that two boxes must have in common of what both cover
const MARGIN = 4; // pixels around a box, for pieces of a few pixels

/**
 * @param {Finding} finding
 * @param {Finding[]} seen those that were looked at
 */
export function isSeen({ kind, box }, seen) {
  return seen.some((one) => one.kind === kind && common(one.box, box) > SAME);
}

/**
 * The part that two boxes have in common, as a share of what both cover.
 * @param {Finding["box"]} a
 * @param {Finding["box"]} b
 */
function common(a, b) {
  const overlap = (/** @type {0 | 1} */ i) => Math.max(Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i]) + 2 * MARGIN, 0);
  const area = (/** @type {Finding["box"]} */ [left, top, right, bottom]) => (right - left + 2 * MARGIN) * (bottom - top + 2 * MARGIN);
  const both = overlap(0) * overlap(1);
  return both / (area(a) + area(b) - both);
}

/**
 * How many were not looked at.
 * @param {Finding[]} findings
 * @param {Finding[]} seen
 */
export function left(findings, seen) {
  return findings.filter((finding) => !isSeen(finding, seen)).length;
}

/**
 * The number of the finding to go to: forwards the next one that was not looked at, or the next one where all were;
 * backwards the one before.
 * @param {Finding[]} findings
 * @param {Finding[]} seen
 * @param {number} now the one that is shown; -1 for none
 * @param {1 | -1} step
 */
export function following(findings, seen, now, step) {
  const count = findings.length;
  if (step < 0) return now < 0 ? count - 1 : (now - 1 + count) % count;
  for (let i = 1; i <= count; i++) {
    const at = (now + i + count) % count;
    if (!isSeen(findings[at], seen)) return at;
  }
  return (now + 1) % count;
}
