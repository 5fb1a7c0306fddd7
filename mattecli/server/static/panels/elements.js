/** Elements of the panels, and the parts that several panels share. */
import { tipOf } from "../keys.js";
import { TIPS } from "./tips.js";

/**
 * An element with properties and children. `data` and `aria` are objects; all else is set as a property.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { data = {}, aria = {}, ...rest } = properties;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, String(value));
  Object.assign(element, rest);
  element.append(...children);
  return element;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * A button; after a click by a pointer the keys go to the picture again.
 * @param {string} text
 * @param {() => void} press
 * @param {Record<string, any>} [properties]
 */
export function button(text, press, properties = {}) {
  const made = make("button", { type: "button", ...properties }, text);
  made.addEventListener("click", (event) => {
    press();
    if (event.detail > 0) byId("picture").focus({ preventScroll: true });
  });
  return made;
}

/**
 * A button of an action, with its keys in the tooltip.
 * @param {string} text
 * @param {string} action
 * @param {(action: string) => void} act
 * @param {Record<string, any>} [properties]
 */
export function actionButton(text, action, act, properties = {}) {
  const made = button(text, () => act(action), { title: tipOf(action), ...properties });
  made.dataset.tip = action;
  return made;
}

/**
 * Replaces what is within an element. The keyboard's focus goes to the link or button that comes in the place of the one
 * that had it, or to the picture.
 * @param {HTMLElement} element
 * @param {() => void} replace
 */
export function keepFocus(element, replace) {
  const controls = () => /** @type {HTMLElement[]} */ ([...element.querySelectorAll("a, button")]);
  const at = controls().findIndex((one) => one === document.activeElement);
  replace();
  if (at < 0) return;
  const now = controls();
  (now[Math.min(at, now.length - 1)] ?? byId("picture")).focus({ preventScroll: true });
}

/** The photos are those of a batch's report, where some keys do something else: the tooltips name the others. */
export function retitle() {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-tip]"))) {
    one.title = tipOf(one.dataset.tip ?? "", true);
  }
}

/**
 * After the pointer has used a control, the keys go to the picture again; after the keyboard they stay.
 * @param {HTMLElement} control hears of the pointer and of changes within
 */
export function givesFocusBack(control) {
  let isPointed = false;
  control.addEventListener("pointerdown", () => (isPointed = true));
  control.addEventListener("keydown", () => (isPointed = false));
  control.addEventListener("change", () => {
    if (isPointed) byId("picture").focus({ preventScroll: true });
    isPointed = false;
  });
}

/**
 * A slider with its name and value. `changed` hears of each value, and whether the slider was let go. `dropped` is called
 * where it was dragged and let go where it had been. What is set while it is dragged waits until then.
 * @param {{name: string, min: number, max: number, step?: number, text: (value: number) => string,
 *   changed: (value: number, released: boolean) => void, dropped?: () => void}} options
 */
export function slider({ name, min, max, step = 1, text, changed, dropped = () => {} }) {
  const input = make("input", { type: "range", step: String(step), aria: { label: name } });
  Object.assign(input, { min: String(min), max: String(max) });
  const output = make("output");
  const element = make("label", { className: "slider", title: TIPS[name] ?? "" }, name, input, output);
  const show = () => (output.value = text(Number(input.value)));
  const put = (/** @type {number} */ value) => {
    input.value = String(value);
    show();
  };
  const drag = dragOf(input, (value) => {
    if (value !== null) put(value);
    dropped();
  });
  input.addEventListener("input", () => (show(), changed(Number(input.value), false)));
  input.addEventListener("change", () => changed(Number(input.value), true));
  return {
    element,
    input,
    /** @param {number} value */
    set: (value) => {
      if (!drag.holds(value)) put(value);
    },
  };
}

/**
 * Whether a slider is dragged. `dropped` is called at the end of a drag that changed nothing, with the value that was set
 * meanwhile, or null.
 * @param {HTMLInputElement} input
 * @param {(value: number | null) => void} dropped
 */
function dragOf(input, dropped) {
  let isHeld = false;
  /** @type {number | null} */
  let waiting = null;
  const end = () => {
    if (isHeld) dropped(waiting);
    isHeld = false;
  };
  input.addEventListener("pointerdown", () => {
    isHeld = true;
    waiting = null;
  });
  input.addEventListener("change", () => (isHeld = false));
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => isHeld && setTimeout(end)); // after `change`
  return {
    /** @param {number} value that is kept for the end of a drag */
    holds(value) {
      if (isHeld && !input.disabled) waiting = value;
      return isHeld && !input.disabled;
    },
  };
}

/**
 * A check box with its name.
 * @param {string} name
 * @param {string} title
 * @param {(checked: boolean) => void} changed
 */
export function check(name, title, changed) {
  const input = make("input", { type: "checkbox" });
  input.addEventListener("change", () => changed(input.checked));
  const element = make("label", { title }, input, name);
  givesFocusBack(element);
  return { element, input };
}

/**
 * A choice among named values.
 * @param {string} name
 * @param {[value: string, text: string][]} values
 * @param {(value: string) => void} changed
 */
export function choice(name, values, changed) {
  const input = make("select", { aria: { label: name }, title: name });
  for (const [value, text] of values) input.append(make("option", { value }, text));
  input.addEventListener("change", () => changed(input.value));
  givesFocusBack(input);
  return input;
}

/**
 * A step of the panel on the right.
 * @param {string} number
 * @param {string} name
 * @param {...Node} children
 */
export function step(number, name, ...children) {
  const mark = make("span", { className: "mark", aria: { hidden: true } }, number);
  const element = make("section", { className: "step" }, make("h2", {}, mark, name), ...children);
  element.setAttribute("aria-label", name);
  return {
    element,
    /** @param {"now" | "done" | "later"} state */
    show: (state) => {
      element.dataset.now = String(state === "now");
      element.dataset.done = String(state === "done");
      mark.textContent = state === "done" ? "✓" : number;
    },
  };
}

/**
 * Seconds as people say them.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 1.5) return "1 s";
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
