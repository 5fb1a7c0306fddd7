/**
 * Pixels of a view from the layers of a tile: photo, labels, alpha, and the foreground's colours.
 *
 * Cut-outs keep their transparency. What lies behind them is drawn by the canvas, so another background needs no new
 * pixels.
 *
 * @typedef {{left: number, top: number, right: number, bottom: number}} Rect pixels of the tile
 * @typedef {{width: number, height: number, photo: Uint8Array, labels?: Uint8Array, shares?: boolean,
 *   alpha?: Uint8Array, colours?: Uint8Array}} Layers shares: labels are two shares a pixel, not 0, 128, 255
 * @typedef {"photo" | "labels" | "trimap" | "alpha" | "cutout"} Kind
 * @typedef {"tint" | "borders" | "bright"} Overlay
 * @typedef {{kind: Kind, overlay: Overlay, strength: number, gamma: number}} View strength: from 0 to 1
 */

/** Colours that stay apart for the colour-blind (Okabe and Ito): foreground, unknown, background. */
export const FOREGROUND_COLOUR = [0, 146, 224];
export const UNKNOWN_COLOUR = [240, 228, 66];
export const BACKGROUND_COLOUR = [213, 84, 0];
/** How much of the photo's light is left where only the unknown part is bright. */
const DIMMED = 0.3;
/** The unknown part is what people look at, so its tint is weaker. */
const UNKNOWN_STRENGTH = 0.6;

/**
 * The pixels of a part of a tile, RGBA row by row.
 * @param {Layers} layers
 * @param {View} view
 * @param {Rect} [rect] all of the tile without it
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function composed(layers, view, rect) {
  const part = rect ?? { left: 0, top: 0, right: layers.width, bottom: layers.height };
  const out = new Uint8ClampedArray((part.right - part.left) * (part.bottom - part.top) * 4);
  const paint = PAINTERS[effective(layers, view.kind, view.overlay)];
  const curve = view.gamma === 1 ? null : curveOf(view.gamma);
  const scratch = new Float64Array(4);
  let to = 0;
  for (let row = part.top; row < part.bottom; row++) {
    for (let at = row * layers.width + part.left; at < row * layers.width + part.right; at++, to += 4) {
      paint(layers, at, scratch, view.strength);
      for (let c = 0; c < 3; c++) out[to + c] = curve ? curve[Math.round(scratch[c])] : scratch[c];
      out[to + 3] = scratch[3];
    }
  }
  return out;
}

/**
 * What of a view can be shown with the layers that are there.
 * @param {Layers} layers
 * @param {Kind} kind
 * @param {Overlay} overlay
 * @returns {keyof typeof PAINTERS}
 */
function effective(layers, kind, overlay) {
  if (kind === "photo" || (kind !== "alpha" && kind !== "cutout" && !layers.labels)) return "photo";
  if (kind === "labels") return overlay;
  if (kind === "trimap") return "trimap";
  if (layers.alpha) return kind;
  return layers.labels && kind === "alpha" ? "trimap" : "photo";
}

/**
 * @callback Painter
 * @param {Layers} layers
 * @param {number} at number of the pixel
 * @param {Float64Array} to red, green, blue, alpha
 * @param {number} strength
 */

/** @type {Record<"photo" | "tint" | "borders" | "bright" | "trimap" | "alpha" | "cutout", Painter>} */
const PAINTERS = {
  photo({ photo }, at, to) {
    to[0] = photo[3 * at];
    to[1] = photo[3 * at + 1];
    to[2] = photo[3 * at + 2];
    to[3] = 255;
  },
  tint(layers, at, to, strength) {
    const foreground = foregroundShare(layers, at);
    const unknown = unknownShare(layers, at);
    const background = 1 - foreground - unknown;
    const weak = unknown * UNKNOWN_STRENGTH;
    for (let c = 0; c < 3; c++) {
      const colour = foreground * FOREGROUND_COLOUR[c] + weak * UNKNOWN_COLOUR[c] + background * BACKGROUND_COLOUR[c];
      to[c] = layers.photo[3 * at + c] * (1 - strength * (1 - unknown + weak)) + colour * strength;
    }
    to[3] = 255;
  },
  borders(layers, at, to, strength) {
    PAINTERS.photo(layers, at, to, strength);
    const here = mostly(layers, at);
    const right = (at + 1) % layers.width ? mostly(layers, at + 1) : here;
    const below = at + layers.width < layers.width * layers.height ? mostly(layers, at + layers.width) : here;
    if (here === right && here === below) return;
    const other = here === right ? below : right;
    const colour = here === 255 || other === 255 ? FOREGROUND_COLOUR : BACKGROUND_COLOUR;
    for (let c = 0; c < 3; c++) to[c] = colour[c];
  },
  bright(layers, at, to) {
    const light = DIMMED + (1 - DIMMED) * unknownShare(layers, at);
    for (let c = 0; c < 3; c++) to[c] = layers.photo[3 * at + c] * light;
    to[3] = 255;
  },
  trimap(layers, at, to) {
    to.fill(255 * foregroundShare(layers, at) + 128 * unknownShare(layers, at), 0, 3);
    to[3] = 255;
  },
  alpha(layers, at, to) {
    to.fill(alphaAt(layers, at), 0, 3);
    to[3] = 255;
  },
  cutout(layers, at, to) {
    const from = layers.colours ?? layers.photo;
    for (let c = 0; c < 3; c++) to[c] = from[3 * at + c];
    to[3] = alphaAt(layers, at);
  },
};

/**
 * Alpha as the next matte has it where labels are known, and as the last one has it elsewhere. So paint shows at once.
 * @param {Layers} layers
 * @param {number} at
 */
function alphaAt(layers, at) {
  const alpha = /** @type {Uint8Array} */ (layers.alpha)[at];
  if (!layers.labels) return alpha;
  const least = foregroundShare(layers, at);
  return Math.min(Math.max(alpha, 255 * least), 255 * (least + unknownShare(layers, at)));
}

/**
 * @param {Layers} layers
 * @param {number} at
 */
function foregroundShare({ labels, shares }, at) {
  const known = /** @type {Uint8Array} */ (labels);
  return shares ? known[2 * at] / 255 : Number(known[at] === 255);
}

/**
 * @param {Layers} layers
 * @param {number} at
 */
function unknownShare({ labels, shares }, at) {
  const known = /** @type {Uint8Array} */ (labels);
  return shares ? known[2 * at + 1] / 255 : Number(known[at] === 128);
}

/**
 * The label that most of a pixel has. Where a part is unknown, it is shown as unknown, so thin bands keep two borders.
 * @param {Layers} layers
 * @param {number} at
 */
function mostly({ labels, shares }, at) {
  const known = /** @type {Uint8Array} */ (labels);
  if (!shares) return known[at];
  if (known[2 * at + 1] > 84) return 128;
  return known[2 * at] > 127 ? 255 : 0;
}

/** @type {Map<number, Uint8ClampedArray>} */
const curves = new Map();

/** @param {number} gamma above 1 is brighter */
function curveOf(gamma) {
  let curve = curves.get(gamma);
  if (!curve) {
    curve = Uint8ClampedArray.from({ length: 256 }, (_, value) => 255 * (value / 255) ** (1 / gamma));
    curves.set(gamma, curve);
  }
  return curve;
}

/**
 * What a preview gives in its box, and around it what is there otherwise.
 * @param {Uint8Array} preview alpha or colours
 * @param {Rect} inside the part of the tile that lies in the box; it may reach beyond the tile
 * @param {Uint8Array} around
 * @param {{width: number, height: number}} tile
 * @returns {Uint8Array}
 */
export function aroundPreview(preview, inside, around, { width, height }) {
  const result = around.slice();
  const channels = preview.length / (width * height);
  const [left, right] = [Math.max(inside.left, 0), Math.min(inside.right, width)];
  for (let row = Math.max(inside.top, 0); left < right && row < Math.min(inside.bottom, height); row++) {
    const [from, to] = [(row * width + left) * channels, (row * width + right) * channels];
    result.set(preview.subarray(from, to), from);
  }
  return result;
}

/**
 * Alpha as far as labels say it, and half where they are unknown.
 * @param {Layers} layers
 */
export function alphaOfLabels(layers) {
  return Uint8Array.from({ length: layers.width * layers.height }, (_, at) =>
    Math.round(255 * foregroundShare(layers, at) + 128 * unknownShare(layers, at)),
  );
}

/**
 * Labels of a base under another band: the band's slider while it moves.
 * @param {Uint8Array} labels those now; shares where `shares`
 * @param {Int16Array} distances of the base in sixteenths of a pixel; -32768 where there is paint, which stays
 * @param {{inside: number, outside: number}} band
 * @param {boolean} shares
 * @returns {Uint8Array}
 */
export function withBand(labels, distances, band, shares) {
  const result = labels.slice();
  const [inside, outside] = [16 * band.inside, -16 * band.outside];
  for (let at = 0; at < distances.length; at++) {
    const distance = distances[at];
    if (distance === -32768) continue;
    const label = distance > inside ? 255 : distance < outside ? 0 : 128;
    if (shares) {
      result[2 * at] = label === 255 ? 255 : 0;
      result[2 * at + 1] = label === 128 ? 255 : 0;
    } else {
      result[at] = label;
    }
  }
  return result;
}
