/**
 * Doubtful places: which were looked at, and which comes next.
 *
 * Each matte has findings of its own. One that lies where a finding of its kind was looked at counts as looked at, too.
 *
 * @typedef {import("./api.js").Finding} Finding
 */

/**
 * @param {Finding} finding
 * @param {Finding[]} seen those that were looked at
 */
export function isSeen({ kind, box }, seen) {
  return seen.some((one) => {
    const [left, top, right, bottom] = one.box;
    return one.kind === kind && left < box[2] && box[0] < right && top < box[3] && box[1] < bottom;
  });
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
