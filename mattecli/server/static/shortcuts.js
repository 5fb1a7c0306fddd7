/** The keyboard: which key does what, whatever has the focus, and which keys are held. */
import { bindingOf } from "./keys.js";

/**
 * @typedef {{store: import("./state.js").Store<import("./state.js").Fields>, tools: {panning: boolean}, picture: HTMLElement,
 *   act: (action: string) => void}} Parts
 */

const REPEATED = new Set(["smaller", "larger", "undo", "redo", "in", "out", "next", "previous", "moveLeft", "moveRight", "moveUp", "moveDown"]);

/** @param {Parts} parts */
export function listenToKeys({ store, tools, picture, act }) {
  /** @type {Map<string, string>} actions of keys that are held, by the keys' places on the keyboard */
  const held = new Map();
  const show = () => {
    const pans = [...held.values()].includes("pan");
    tools.panning = pans;
    store.set({ bare: [...held.values()].includes("bare") });
    picture.dataset.cursor = pans ? "hand" : cursorOf(store.now.tool);
  };
  addEventListener("pointerdown", () => delete document.body.dataset.tabbing);
  addEventListener("keydown", (event) => {
    if (event.key === "Tab") document.body.dataset.tabbing = "true"; // the focus is shown on the picture, too
    const binding = bindingOf(event, Boolean(store.now.session?.report));
    const help = document.getElementById("help");
    if (!binding || inControl(event, picture) || (help?.matches("[open]") && binding.action !== "help")) return;
    if (binding.held || event.ctrlKey || event.key.length === 1 || event.target === picture || event.target === document.body || event.key.startsWith("F")) {
      event.preventDefault();
    }
    if (binding.held) {
      held.set(placeOf(event), binding.action);
      return show();
    }
    if (event.repeat && !REPEATED.has(binding.action)) return;
    if (binding.action !== "cancel") commit(event.target);
    act(binding.action);
  });
  addEventListener("click", ({ detail }) => {
    const isPointed = detail > 0; // a click by the keyboard has no number
    if (isPointed && document.activeElement?.matches("summary, a, [role=slider]")) picture.focus({ preventScroll: true });
  });
  addEventListener("keyup", (event) => {
    if (event.key === "Meta") held.clear(); // a Mac tells of no other key that goes up meanwhile
    else if (!held.delete(placeOf(event))) return;
    show();
  });
  addEventListener("blur", () => {
    held.clear();
    show();
  });
}

/** @param {import("./state.js").Tool} tool */
export function cursorOf(tool) {
  return tool === "hand" ? "hand" : tool === "brush" || tool === "edge" ? "none" : "cross";
}

/**
 * The place of a key on the keyboard. What it is called may change while it is held, by Ctrl or Shift.
 * @param {KeyboardEvent} event
 */
function placeOf({ code, key }) {
  return code || key;
}

/**
 * What was typed into a field counts before an action, as if the field had been left.
 * @param {EventTarget | null} target
 */
function commit(target) {
  if (!(target instanceof HTMLElement) || !target.matches("input[type=number], input[type=text]")) return;
  target.blur();
  target.focus();
}

/**
 * Whether a key belongs to the control that has the focus.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} picture
 */
function inControl({ target, key, ctrlKey, metaKey }, picture) {
  if (!(target instanceof HTMLElement) || target === picture) return false;
  const slides = key.startsWith("Arrow") || key === "Home" || key === "End";
  if (target.matches("input[type=range]")) return slides && !(ctrlKey || metaKey);
  const moves = key === " " || key === "Enter" || key.startsWith("Arrow") || key.startsWith("Page") || key === "Home" || key === "End";
  if (target.matches("input[type=number], input[type=text], select")) return !(ctrlKey || metaKey || key === "Escape" || key === "F1");
  return moves && target.matches("input, button, summary, a, [role=slider]") && !(ctrlKey || metaKey);
}
