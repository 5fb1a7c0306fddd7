/**
 * What is drawn over the picture: the brush, outlines, the box, the finding that is shown. In device pixels, in black and
 * white at once, so that it is seen on every photo.
 *
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {[x: number, y: number]} Point
 * @typedef {{left: number, top: number, right: number, bottom: number}} Sides
 */

/**
 * The edge of the brush, with a cross where it is small, and its size where `text` says it.
 * @param {Context} context
 * @param {Point} at
 * @param {number} radius
 * @param {string} text
 * @param {number} ratio
 */
export function drawBrush(context, at, radius, text, ratio) {
  const path = new Path2D();
  path.arc(...at, Math.max(radius, 1), 0, 2 * Math.PI);
  if (radius < 4 * ratio) {
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(at[0] + dx * 5 * ratio, at[1] + dy * 5 * ratio);
      path.lineTo(at[0] + dx * 10 * ratio, at[1] + dy * 10 * ratio);
    }
  }
  line(context, path, ratio);
  if (text) label(context, text, [at[0], at[1] + Math.max(radius, 10 * ratio) + 14 * ratio], ratio);
}

/**
 * The band along an edge, where it would be laid now.
 * @param {Context} context
 * @param {Point} at
 * @param {number} radius
 * @param {number} ratio
 */
export function drawEdge(context, at, radius, ratio) {
  const path = new Path2D();
  path.arc(...at, Math.max(radius, 1), 0, 2 * Math.PI);
  line(context, path, ratio, "#f0e442");
}

/**
 * @param {Context} context
 * @param {Point[]} points
 * @param {boolean} closed
 * @param {number} ratio
 */
export function drawOutline(context, points, closed, ratio) {
  const path = new Path2D();
  points.forEach((point, i) => (i ? path.lineTo(...point) : path.moveTo(...point)));
  if (closed) path.closePath();
  line(context, path, ratio);
  for (const [x, y] of closed ? [] : points.slice(0, 1)) {
    const dot = new Path2D();
    dot.arc(x, y, 4 * ratio, 0, 2 * Math.PI);
    line(context, dot, ratio);
  }
}

/**
 * A box with handles at corners and sides; the picture outside of it is darker.
 * @param {Context} context
 * @param {Sides} box
 * @param {Sides} picture
 * @param {number} ratio
 */
export function drawBox(context, { left, top, right, bottom }, picture, ratio) {
  context.fillStyle = "rgb(0 0 0 / 40%)";
  const outside = new Path2D();
  outside.rect(picture.left, picture.top, picture.right - picture.left, picture.bottom - picture.top);
  outside.rect(left, top, right - left, bottom - top);
  context.fill(outside, "evenodd");
  const path = new Path2D();
  path.rect(left + 0.5, top + 0.5, right - left - 1, bottom - top - 1);
  line(context, path, ratio);
  const side = 4 * ratio;
  for (const x of [left, (left + right) / 2, right]) {
    for (const y of [top, (top + bottom) / 2, bottom]) {
      if (x !== left && x !== right && y !== top && y !== bottom) continue;
      context.fillStyle = "#fff";
      context.fillRect(x - side, y - side, 2 * side, 2 * side);
      context.strokeStyle = "#000";
      context.lineWidth = ratio;
      context.strokeRect(x - side, y - side, 2 * side, 2 * side);
    }
  }
}

/**
 * A frame around a place, not on it, and what is said of it. The words stay in view.
 * @param {Context} context
 * @param {Sides} box
 * @param {string} text
 * @param {number} ratio
 */
export function drawFinding(context, { left, top, right, bottom }, text, ratio) {
  const path = new Path2D();
  const away = 8 * ratio;
  path.roundRect(left - away, top - away, right - left + 2 * away, bottom - top + 2 * away, away);
  line(context, path, ratio, "#f0e442", 2);
  const { width, height } = context.canvas;
  context.font = fontOf(ratio);
  const half = context.measureText(text).width / 2 + away;
  const x = Math.min(Math.max((left + right) / 2, half), Math.max(width - half, half));
  label(context, text, [x, Math.min(Math.max(top - 2 * away, 3 * away), height - away)], ratio);
}

/**
 * The line between two views.
 * @param {Context} context
 * @param {number} x
 * @param {number} ratio
 */
export function drawWipe(context, x, ratio) {
  const path = new Path2D();
  path.moveTo(x, 0);
  path.lineTo(x, context.canvas.height);
  line(context, path, ratio);
}

/**
 * @param {Context} context
 * @param {Path2D} path
 * @param {number} ratio
 * @param {string} [colour]
 * @param {number} [width]
 */
function line(context, path, ratio, colour = "#fff", width = 1) {
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.lineWidth = (width + 2) * ratio;
  context.stroke(path);
  context.strokeStyle = colour;
  context.lineWidth = width * ratio;
  context.stroke(path);
}

/** @param {number} ratio */
const fontOf = (ratio) => `${12 * ratio}px system-ui, sans-serif`;

/**
 * @param {Context} context
 * @param {string} text
 * @param {Point} at
 * @param {number} ratio
 */
function label(context, text, [x, y], ratio) {
  context.font = fontOf(ratio);
  context.textAlign = "center";
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.strokeText(text, x, y);
  context.fillStyle = "#fff";
  context.fillText(text, x, y);
}
