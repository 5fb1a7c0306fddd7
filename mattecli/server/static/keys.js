/**
 * The keys: one table from which shortcuts, tooltips and the help are made.
 *
 * A key is written as `event.key` has it, with `Ctrl+`, `Alt+` and `Shift+` before it; Ctrl stands for Cmd, too. Shift is
 * left out where the key itself says it, as in `?`. Each action has two, for keyboards and window managers that lack one.
 *
 * @typedef {{action: string, keys: string[], name: string, tip: string, group: string, held?: boolean}} Binding
 * @typedef {{key: string, code?: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, shiftKey?: boolean}} KeyPress
 */

/** @type {Binding[]} */
export const BINDINGS = [
  row("Paint", "foreground", ["F", "7"], "Foreground", "Paint what surely belongs to the subject"),
  row("Paint", "background", ["B", "9"], "Background", "Paint what surely does not belong to the subject"),
  row("Paint", "unknown", ["U", "8"], "Unknown", "Paint where hair, fur or glass mixes with the background"),
  row("Paint", "eraser", ["E", "6"], "Eraser", "Paint background; with Background chosen, foreground"),
  row("Paint", "swap", ["X", "5"], "Swap labels", "Change between foreground and background"),
  row("Paint", "smaller", ["[", ","], "Smaller brush", "Or drag sideways with the right button"),
  row("Paint", "larger", ["]", "."], "Larger brush", "Or drag sideways with the right button"),
  row("Paint", "undo", ["Ctrl+Z", "Alt+Backspace"], "Undo", "Take back the last change"),
  row("Paint", "redo", ["Ctrl+Shift+Z", "Ctrl+Y"], "Redo", "Do again what was taken back"),
  row("Tools", "brush", ["D", "P"], "Brush", "Draw; Shift and a click draw a straight line"),
  row("Tools", "edge", ["C", "Shift+C"], "Edge brush", "Draw along an edge: it lays an unknown band on the strongest edge in the circle"),
  row("Tools", "lasso", ["L", "Shift+L"], "Lasso", "Paint what the outline encloses"),
  row("Tools", "polygon", ["K", "Shift+K"], "Polygon", "Click corners; a double click or Enter closes it"),
  row("Tools", "close", ["Enter", "Shift+Enter"], "Close a polygon", "A double click does it, too"),
  row("Tools", "fill", ["G", "Shift+G"], "Fill", "Paint connected pixels that have one label"),
  row("Tools", "box", ["M", "R"], "Box", "Drag a box around the subject"),
  row("Tools", "hand", ["H", "Shift+H"], "Hand", "Move the picture"),
  row("Look", "fit", ["0", "Home"], "Fit", "Show the whole picture"),
  row("Look", "actual", ["1", "Ctrl+1"], "1:1", "One pixel of the picture on one pixel of the screen"),
  row("Look", "in", ["+", "="], "Zoom in", "Or turn the wheel"),
  row("Look", "out", ["-", "_"], "Zoom out", "Or turn the wheel"),
  row("Look", "view", ["V", "2"], "Next view", "Trimap, matte, cut-out and so on"),
  row("Look", "viewBack", ["Shift+V", "3"], "Previous view", "The other way round"),
  row("Look", "overlay", ["O", "4"], "Overlay", "Tint, borders, or only the unknown part bright"),
  row("Look", "bare", ["\\", "Q"], "Bare photo while held", "Show the photo alone", true),
  row("Look", "wipe", ["W", "Shift+W"], "Wipe", "Compare two views side by side"),
  row("Matte", "propose", ["Ctrl+Enter", "Shift+P"], "Propose", "Make a trimap from the box and the strokes"),
  row("Matte", "matte", ["T", "Shift+T"], "Matte", "Compute the exact matte of the whole photo"),
  row("Matte", "next", ["N", "J"], "Next finding", "Go to the next doubtful place at 1:1"),
  row("Matte", "previous", ["Shift+N", "Shift+J"], "Previous finding", "Go back"),
  row("Matte", "save", ["Ctrl+S", "Shift+S"], "Save", "Write the files that are ticked"),
  row("Move", "pan", [" ", "Shift+ "], "Move while held", "Space or the middle button moves the picture", true),
  row("Move", "moveLeft", ["ArrowLeft", "Shift+ArrowLeft"], "Move left", "While the picture has the focus"),
  row("Move", "moveRight", ["ArrowRight", "Shift+ArrowRight"], "Move right", "While the picture has the focus"),
  row("Move", "moveUp", ["ArrowUp", "Shift+ArrowUp"], "Move up", "While the picture has the focus"),
  row("Move", "moveDown", ["ArrowDown", "Shift+ArrowDown"], "Move down", "While the picture has the focus"),
  row("Page", "nextPhoto", ["PageDown", "Ctrl+ArrowRight"], "Next photo", "Of the film strip"),
  row("Page", "previousPhoto", ["PageUp", "Ctrl+ArrowLeft"], "Previous photo", "Of the film strip"),
  row("Page", "help", ["?", "F1"], "Keys", "Show this list"),
  row("Page", "cancel", ["Escape", "Ctrl+."], "Cancel", "Stop an outline or the matte, or close this list"),
];

/** Keys for the photos of a batch's report. They come before the others, each of which has another key, too. */
export const REPORT_BINDINGS = [
  row("Batch", "accept", ["A", "Shift+A"], "Accept", "Approve the matte for the batch, and go on"),
  row("Batch", "nextPhoto", ["N", "PageDown"], "Next photo", "Of the report, the worst first"),
  row("Batch", "previousPhoto", ["P", "PageUp"], "Previous photo", "Of the report"),
];

/**
 * The action of a key press, or null.
 * @param {KeyPress} press
 * @param {boolean} [inReport] whether the photos are those of a batch's report
 * @returns {Binding | null}
 */
export function bindingOf(press, inReport = false) {
  const name = pressed(press);
  const bindings = inReport ? [...REPORT_BINDINGS, ...BINDINGS] : BINDINGS;
  return bindings.find(({ keys }) => keys.some((key) => same(key, name, press))) ?? null;
}

/**
 * The keys that do what a row says, without those that do something else for the photos of a report.
 * @param {Binding} binding
 * @param {boolean} inReport
 */
export function keysOf({ action, keys }, inReport) {
  const first = (/** @type {string} */ key) => REPORT_BINDINGS.find((binding) => binding.keys.includes(key));
  return inReport ? keys.filter((key) => (first(key)?.action ?? action) === action) : keys;
}

/**
 * The text of a tooltip: the tip and its keys.
 * @param {string} action
 * @param {boolean} [inReport] whether the photos are those of a batch's report
 */
export function tipOf(action, inReport = false) {
  const found = [...BINDINGS, ...REPORT_BINDINGS].find((binding) => binding.action === action);
  return found ? `${found.tip} (${keysOf(found, inReport).map(shown).join(" or ")})` : "";
}

/**
 * A key as people read it.
 * @param {string} key
 */
export function shown(key) {
  return key.replace(/ $/, "Space").replace("Arrow", "").replace("Escape", "Esc").replace("PageDown", "Page down")
    .replace("PageUp", "Page up");
}

/**
 * @param {string} group
 * @param {string} action
 * @param {string[]} keys
 * @param {string} name
 * @param {string} tip
 * @param {boolean} [held]
 * @returns {Binding}
 */
function row(group, action, keys, name, tip, held = false) {
  return { group, action, keys, name, tip, held };
}

/** @param {KeyPress} press */
function pressed(press) {
  const key = press.key.length === 1 ? latin(press).toUpperCase() : press.key;
  return `${press.ctrlKey || press.metaKey ? "Ctrl+" : ""}${press.altKey ? "Alt+" : ""}${key}`;
}

/** Signs by the places of their keys, for keyboards that have letters there. */
const SIGNS = /** @type {Record<string, string>} */ ({
  BracketLeft: "[", BracketRight: "]", Comma: ",", Period: ".", Minus: "-", Equal: "=", Backslash: "\\",
});

/**
 * The key itself, or for letters and digits that are not Latin (Cyrillic, Greek, Arabic) what an English keyboard has there.
 * @param {KeyPress} press
 */
function latin({ key, code = "" }) {
  const isLatin = key < "\x80" || /\p{Script=Latin}/u.test(key);
  if (isLatin || !/[\p{L}\p{N}]/u.test(key)) return key;
  return /^(?:Key|Digit)(\w)$/.exec(code)?.[1] ?? SIGNS[code] ?? key;
}

/**
 * @param {string} key of the table
 * @param {string} name of the press, without Shift
 * @param {KeyPress} press
 */
function same(key, name, press) {
  const shift = key.includes("Shift+");
  if (key.replace("Shift+", "") !== name) return false;
  const letter = /(^|\+)([A-Z ]|[A-Z]\w+)$/.test(key); // Shift does not change what such a key is called
  return letter ? shift === Boolean(press.shiftKey) : true;
}
