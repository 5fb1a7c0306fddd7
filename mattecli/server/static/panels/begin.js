/** The first step: a box, strokes or a file, and the band around the proposal. */
import { actionButton, button, check, make, slider, step } from "./elements.js";

/**
 * @typedef {import("../state.js").Store<import("../state.js").Fields>} PageStore
 * @typedef {import("../photo.js").OpenPhoto} OpenPhoto
 */

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 * @param {() => OpenPhoto | null} photo
 */
export function beginPanel(store, act, photo) {
  const hint = make("p");
  const propose = actionButton("Propose", "propose", act, { className: "primary wide" });
  const take = button("Take over", () => void photo()?.takeOver(), {
    className: "primary wide",
    title: "Paint here from now on; the other tab becomes read-only",
  });
  const bar = make("div", { className: "bar", data: { busy: "true" }, aria: { hidden: true } }, make("div"));
  const refine = check("Refine with each stroke", "After Propose from a box or strokes, each stroke of foreground or background makes the proposal anew", (on) =>
    store.set({ refining: on }),
  );
  const bands = bandSliders(store, photo);
  const more = make("details", {}, make("summary", {}, "Other ways to begin"), others(store, photo), numbers(store));
  const panel = step("1", "Begin", hint, make("div", { className: "row over-bar" }, propose, take, bar), more, refine.element, ...bands.elements);
  store.watch(["box", "hasBase", "proposing", "begun", "refining", "painted", "band", "photo"], (now) => {
    hint.textContent = hintOf(now);
    hint.hidden = hint.textContent === "";
    propose.disabled = now.proposing !== null || !now.photo || now.photo.readonly || !(now.box || now.painted);
    take.hidden = !now.photo?.takeable;
    propose.hidden = !take.hidden;
    propose.textContent = now.proposing ? "Proposing…" : "Propose";
    bar.style.visibility = now.proposing ? "visible" : "hidden";
    refine.input.checked = now.refining && now.begun !== null;
    refine.input.disabled = now.begun === null;
    panel.show(now.hasBase ? "done" : "now");
  });
  return panel.element;
}

/** @param {Readonly<import("../state.js").Fields>} now */
function hintOf({ box, hasBase, painted, photo }) {
  if (photo?.takeable) return "Read-only: another tab paints it.";
  if (photo?.heldBy) return `Read-only: ${photo.heldBy}, of which it is a copy, is open.`;
  if (photo?.readonly) return "Read-only: another `matte ui` has it open.";
  if (hasBase) return "";
  if (box) return "Propose finds the subject in it.";
  if (painted) return "Propose goes by your strokes.";
  return "Drag a box around the subject.";
}

/** @param {PageStore} store */
function numbers(store) {
  const names = ["Left", "Top", "Right", "Bottom"];
  const inputs = names.map((name) => make("input", { type: "number", min: "0", step: "1", aria: { label: `${name} of the box` } }));
  const read = () => {
    const picture = store.now.photo;
    const [left, top, right, bottom] = inputs.map(({ value }) => Math.round(Number(value)));
    if (!picture || inputs.some(({ value }) => value === "") || !(0 <= left && 0 <= top)) return;
    if (left < right && top < bottom && right <= picture.width && bottom <= picture.height) {
      store.set({ box: [left, top, right, bottom] });
    }
  };
  for (const input of inputs) input.addEventListener("change", read);
  store.watch(["box", "photo"], ({ box, photo }) => {
    inputs.forEach((input, i) => {
      input.max = String((i % 2 ? photo?.height : photo?.width) ?? 0);
      if (document.activeElement !== input) input.value = box ? String(box[i]) : "";
    });
  });
  const labels = names.map((name, i) => make("label", { className: "number" }, name, inputs[i]));
  return make("div", {}, make("p", {}, "Box by numbers, in pixels"), make("div", { className: "pair" }, ...labels));
}

/**
 * @param {PageStore} store
 * @param {() => OpenPhoto | null} photo
 */
function others(store, photo) {
  const file = make("input", { type: "file", accept: "image/*,.tif,.tiff,.exr,.psd", hidden: true, aria: { label: "A mask" } });
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen) void photo()?.proposals.layFile(chosen);
  });
  const open = button("Mask file…", () => file.click(), {
    className: "quiet",
    title: "A mask, trimap, cut-out or matte of this photo; or drop it on the picture",
  });
  const screen = button("Screen colour", () => store.set({ tool: "pick", message: { text: "Click on the screen's colour in the picture.", kind: "plain" } }), {
    className: "quiet",
    title: "For a photo in front of a green or blue screen: click on its colour",
  });
  const automatic = button("Find subject", () => void photo()?.proposals.make({ source: "auto" }), {
    className: "quiet",
    title: "Let a model find the subject",
  });
  const row = make("div", { className: "row" }, open, screen, automatic, file);
  store.watch(["session", "proposing", "photo"], ({ session, proposing, photo: fact }) => {
    automatic.hidden = !session?.can?.auto;
    for (const one of [open, screen, automatic]) one.disabled = proposing !== null || !fact || fact.readonly;
  });
  return row;
}

/**
 * @param {PageStore} store
 * @param {() => OpenPhoto | null} photo
 */
function bandSliders(store, photo) {
  const text = (/** @type {number} */ value) => `${value} px`;
  const changed = (/** @type {boolean} */ released) => {
    const band = { inside: Number(inside.input.value), outside: Number(outside.input.value) };
    photo()?.band(band, released);
  };
  const told = {
    text, changed: (/** @type {number} */ _, /** @type {boolean} */ released) => changed(released),
    dropped: () => photo()?.band(null),
  };
  const inside = slider({ name: "Inside", min: 0, max: 64, ...told });
  const outside = slider({ name: "Outside", min: 0, max: 64, ...told });
  const name = make("p", {}, "Unknown band around the edge");
  store.watch(["band", "hasBase", "photo"], ({ band, hasBase, photo: fact }) => {
    for (const [one, value] of /** @type {const} */ ([[inside, band.inside], [outside, band.outside]])) {
      one.input.max = String(Math.min(band.reach, 100) || 64);
      one.input.disabled = !hasBase || fact?.readonly === true;
      one.set(value);
    }
  });
  return { elements: [name, inside.element, outside.element] };
}
