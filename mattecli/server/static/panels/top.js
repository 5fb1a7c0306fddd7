/** The upper rows: views, zoom, and the options of tool and view. */
import { KEEPS_COLOURS, LARGEST, SMALLEST } from "../paint/tools.js";
import { actionButton, button, byId, check, choice, make, slider } from "./elements.js";

/**
 * @typedef {import("../state.js").Store<import("../state.js").Fields>} PageStore
 * @typedef {import("../view/compose.js").Kind} Kind
 */

/** @type {[Kind, string, string][]} */
export const VIEWS = [
  ["photo", "Photo", "The photo alone"],
  ["labels", "Overlay", "The photo under the labels"],
  ["trimap", "Trimap", "White is foreground, black is background, grey is unknown"],
  ["alpha", "Matte", "How much of each pixel is subject"],
  ["cutout", "Cut-out", "The subject on a background of your choice"],
];

/** @type {[string, string, number[]][]} */
const RESTRICTIONS = [
  ["all", "over everything", [0, 128, 255]],
  ["unknown", "only over unknown", [128]],
  ["keepForeground", "not over foreground", [0, 128]],
  ["keepBackground", "not over background", [128, 255]],
  ["like", "only similar colours", [0, 128, 255]],
];

/** How far colours are from each other at most that count as similar, in 255ths of a channel. */
const LIKENESS = 32;

/** @type {[string, string][]} */
const BEHIND = [["checker", "Checkerboard"], ["#000000", "Black"], ["#ffffff", "White"], ["#00b140", "Green"]];

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 */
export function fillTop(store, act) {
  const views = VIEWS.map(([kind, name, title]) => button(name, () => store.set({ view: kind }), { title, data: { kind } }));
  byId("views").append(make("div", { className: "group" }, ...views));
  byId("views").classList.add("group");
  const wipe = actionButton("Wipe", "wipe", act);
  const right = choice("Right of the wipe", VIEWS.map(([kind, name]) => [kind, name]), (kind) =>
    store.set({ wipe: /** @type {Kind} */ (kind) }),
  );
  byId("views").append(wipe, right);
  const scale = make("span", { className: "number", title: "Zoom: 100 % is one pixel of the screen for each pixel of the photo" });
  scale.style.minWidth = "52px";
  const light = button("Light", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  const theme = (/** @type {string} */ name) => {
    document.documentElement.dataset.theme = name;
    light.textContent = name === "dark" ? "Light" : "Dark";
    light.title = `Show the page ${name === "dark" ? "light" : "dark"}`;
    localStorage.setItem("theme", name);
    dispatchEvent(new Event("themechange"));
  };
  theme(localStorage.getItem("theme") === "light" ? "light" : "dark");
  byId("zoom").append(
    scale,
    actionButton("−", "out", act, { ariaLabel: "Zoom out" }),
    actionButton("+", "in", act, { ariaLabel: "Zoom in" }),
    actionButton("Fit", "fit", act),
    actionButton("1:1", "actual", act),
    light,
    actionButton("?", "help", act, { ariaLabel: "Keys" }),
  );
  store.watch(["view", "wipe"], (now) => {
    for (const one of views) one.ariaPressed = String(one.dataset.kind === now.view);
    wipe.ariaPressed = String(now.wipe !== null);
    right.style.visibility = now.wipe === null ? "hidden" : "visible";
    if (now.wipe) right.value = now.wipe;
  });
  store.watch(["scale"], (now) => {
    const percent = now.scale * 100;
    scale.textContent = `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
  });
  byId("options").append(toolOptions(store, act), viewOptions(store));
}

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 */
function toolOptions(store, act) {
  const labels = /** @type {[number, string, string][]} */ ([
    [255, "Foreground", "foreground"], [128, "Unknown", "unknown"], [0, "Background", "background"],
  ]).map(([label, name, action]) => {
    const made = actionButton("", action, act, { data: { label: String(label) } });
    made.append(make("span", { className: "swatch", data: { label: String(label) } }), name);
    return made;
  });
  const eraser = actionButton("Eraser", "eraser", act);
  const size = slider({
    name: "Size", min: 0, max: 100, text: () => "px",
    changed: (value) => store.set({ size: sizeOf(value) }),
  });
  size.element.classList.add("compact");
  const exact = make("input", { type: "number", min: `${SMALLEST}`, max: `${LARGEST}`, aria: { label: "Size of the brush in pixels of the photo" } });
  exact.addEventListener("change", () => {
    if (exact.checkValidity() && exact.value) store.set({ size: Number(exact.value) });
    else exact.value = String(store.now.size);
  });
  size.element.insertBefore(exact, size.element.lastChild);
  const over = choice("Where paint may go", RESTRICTIONS.map(([value, text]) => [value, text]), (value) => {
    const over = RESTRICTIONS.find(([name]) => name === value)?.[2] ?? [0, 128, 255];
    store.set({ over, likeness: value === "like" ? LIKENESS : null });
  });
  const like = /** @type {HTMLOptionElement} */ (over.lastChild);
  store.watch(["tool", "over", "likeness"], (now) => {
    like.hidden = like.disabled = !KEEPS_COLOURS.has(now.tool); // an outline begins beside what it encloses
    const labels = RESTRICTIONS.find(([name, , labels]) => name !== "like" && `${labels}` === `${now.over}`)?.[0] ?? "all";
    over.value = now.likeness !== null && !like.disabled ? "like" : labels;
  });
  const pressure = check("Pressure", "A pen's pressure changes the size of the brush", (on) => store.set({ pressure: on }));
  const painting = make("div", { className: "group" }, ...labels, eraser);
  const element = make("div", {}, painting, size.element, over, pressure.element);
  store.watch(["label", "eraser", "size", "tool"], (now) => {
    for (const one of labels) one.ariaPressed = String(Number(one.dataset.label) === (now.tool === "edge" ? 128 : now.label));
    eraser.ariaPressed = String(now.eraser && now.tool !== "edge");
    if (document.activeElement !== exact) exact.value = String(now.size);
    size.set(100 * Math.log(now.size / SMALLEST) / Math.log(LARGEST / SMALLEST));
    size.element.hidden = now.tool !== "brush" && now.tool !== "edge";
    over.hidden = now.tool === "box" || now.tool === "hand";
    pressure.element.hidden = now.tool !== "brush" || !sawPen;
  });
  addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "pen" || sawPen) return;
    sawPen = true;
    pressure.element.hidden = store.now.tool !== "brush";
  });
  return element;
}

let sawPen = false; // the option is shown from then on

/** @param {number} value of the slider, from 0 to 100 */
function sizeOf(value) {
  return Math.max(Math.round(SMALLEST * (LARGEST / SMALLEST) ** (value / 100)), SMALLEST);
}

/** @param {PageStore} store */
function viewOptions(store) {
  const overlay = choice(
    "Overlay",
    [["tint", "Tint"], ["borders", "Borders"], ["bright", "Unknown bright"]],
    (value) => store.set({ overlay: /** @type {import("../view/compose.js").Overlay} */ (value) }),
  );
  const strength = slider({
    name: "Strength", min: 0, max: 100, text: (value) => `${value} %`,
    changed: (value) => store.set({ strength: value / 100 }),
  });
  const exposure = slider({
    name: "Exposure", min: -5, max: 5, step: 0.25, text: (value) => `${value > 0 ? "+" : ""}${value} EV`,
    changed: (value, released) => released && store.set({ exposure: value }),
  });
  const gamma = slider({
    name: "Gamma", min: 0.4, max: 3, step: 0.1, text: (value) => value.toFixed(1),
    changed: (value) => store.set({ gamma: value }),
  });
  for (const one of [strength, exposure, gamma]) one.element.classList.add("compact");
  const chips = BEHIND.map(([behind, name]) =>
    button("", () => store.set({ behind }), { className: `chip ${name.toLowerCase().replace("board", "")}`, title: name, ariaLabel: name, data: { behind } }),
  );
  const colour = make("input", { type: "color", value: "#4a6fa5", title: "Another colour", aria: { label: "Another colour" } });
  colour.addEventListener("input", () => store.set({ behind: colour.value }));
  const picture = pictureChooser(store);
  const behind = make("div", { className: "group" }, ...chips, colour, picture);
  behind.classList.add("row");
  store.watch(["view", "wipe", "overlay", "strength", "behind", "photo", "gamma", "exposure"], (now) => {
    const shown = [now.view, now.wipe];
    overlay.hidden = !shown.includes("labels");
    behind.hidden = !shown.includes("cutout");
    strength.element.hidden = overlay.hidden || now.overlay !== "tint" || !behind.hidden;
    const linear = now.photo?.linear === true;
    for (const one of [exposure, gamma]) one.element.hidden = !linear || !behind.hidden;
    overlay.value = now.overlay;
    strength.set(Math.round(now.strength * 100));
    exposure.set(now.exposure);
    gamma.set(now.gamma);
    for (const one of chips) one.ariaPressed = String(one.dataset.behind === now.behind);
  });
  return make("div", {}, exposure.element, gamma.element, overlay, strength.element, behind);
}

/** @param {PageStore} store */
function pictureChooser(store) {
  const input = make("input", { type: "file", accept: "image/*", hidden: true, aria: { label: "A picture as background" } });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    try {
      store.set({ behind: await createImageBitmap(file) });
    } catch {
      store.set({ message: { text: `The browser cannot show ${file.name}; choose a JPEG, PNG or WebP.`, kind: "bad" } });
    }
  });
  const chooser = button("Picture…", () => input.click(), { title: "Show the cut-out on a picture of yours; it stays in the browser" });
  return make("div", {}, chooser, input);
}
