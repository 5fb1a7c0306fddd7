/** The last step: edges, colours, files. */
import { actionButton, button, check, choice, keepFocus, make, slider, step } from "./elements.js";
import { TIPS } from "./tips.js";

/**
 * @typedef {import("../state.js").Store<import("../state.js").Fields>} PageStore
 * @typedef {import("../photo.js").OpenPhoto} OpenPhoto
 */

/** @type {Record<string, [name: string, title: string]>} */
const PRODUCTS = {
  trimap: ["Trimap", "What was painted: white, grey and black"],
  alpha: ["Alpha", "The matte as a grey picture"],
  cutout: ["Cut-out", "The subject on transparency, with colours free of the old background"],
  composite: ["Composite", "The subject on the background that the view shows"],
};

/**
 * The sliders. The usual value of each changes nothing.
 * @type {[key: string, name: string, least: number, most: number, step: number, unit: string, usual: number][]}
 */
export const EDGES = [
  ["choke", "Choke", 0, 10, 0.5, "px", 0],
  ["spread", "Spread", 0, 10, 0.5, "px", 0],
  ["feather", "Feather", 0, 10, 0.5, "px", 0],
  ["smooth", "Smooth", 0, 10, 0.5, "px", 0],
  ["contrast", "Contrast", 0, 90, 5, "%", 0],
  ["hair", "Hair", 0, 100, 5, "%", 100],
  ["min_area", "Specks", 0, 1000, 20, "px", 0],
  ["fill_holes", "Holes", 0, 1000, 20, "px", 0],
];

/** @type {Record<string, string>} sliders that move an edge in opposite directions: only one of them can be set */
const OPPOSITE = { choke: "spread", spread: "choke" };

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 * @param {() => OpenPhoto | null} photo
 */
export function finishPanel(store, act, photo) {
  const ticked = new Set(["trimap", "alpha", "cutout"]);
  /** @type {Record<string, unknown>} */
  const edges = {};
  const save = actionButton("Save", "save", act, { className: "primary wide" });
  const products = make("div", { className: "pair" });
  const boxes = Object.entries(PRODUCTS).map(([product, [name, title]]) => {
    const box = check(name, title, (on) => {
      if (on) ticked.add(product);
      else ticked.delete(product);
      show();
    });
    box.input.checked = ticked.has(product);
    products.append(box.element);
    return { product, ...box };
  });
  const options = () => ({ ...edges, ...(ticked.has("composite") ? { background: backgroundOf(store.now.behind) } : {}) });
  const overwrite = check("Replace files of that name", "Without it, files that this page did not write stay as they are", () => {});
  const copy = button("Copy command", () => void copyCommand(photo(), [...ticked], options()), {
    className: "quiet",
    title: "The command line that makes the same files from the saved trimap",
  });
  const downloads = make("div", { className: "row" });
  const summary = make("summary");
  const more = make("details", {}, summary, ...edgeOptions(edges, () => (store.set({ finish: { ...edges } }), show())), overwrite.element,
    downloads);
  const accept = actionButton("Accept", "accept", act, { className: "primary wide" });
  const panel = step("4", "Save", make("div", { className: "row" }, accept), products, more, make("div", { className: "row" }, save, copy));

  const show = () => {
    const { photo: fact, painted, saving, matte } = store.now;
    const background = backgroundOf(store.now.behind);
    if (!background) ticked.delete("composite");
    boxes[3].input.disabled = !background;
    boxes[3].input.checked = ticked.has("composite");
    const needsMatte = [...ticked].some((product) => product !== "trimap");
    accept.hidden = !store.now.session?.report;
    accept.disabled = !fact || fact.readonly || painted === 0 || saving !== null;
    save.disabled = !fact || fact.readonly || painted === 0 || saving !== null || ticked.size === 0;
    const exact = matte?.kind === "exact" && matte.sequence === painted;
    const made = exact && !matte.given;
    const approves = exact && store.now.session?.report && ticked.size === 1 && ticked.has("alpha");
    save.textContent = saving ? (made || approves || !needsMatte ? "Saving…" : "Waiting for the exact matte…") : "Save";
    const set = Object.keys(edges).length;
    summary.textContent = `Edges, colours, download${set ? ` (${set} set)` : ""}`;
    boxes[3].element.title = background ? `The subject on ${background}` : "Choose a colour in the view Cut-out first";
    const files = made && fact ? links(photo(), [...ticked], options()) : ["Download: after the exact matte."];
    keepFocus(downloads, () => downloads.replaceChildren(...files));
  };
  store.watch(["session"], ({ session }) => {
    if (!session?.report) return;
    ticked.delete("trimap");
    ticked.delete("cutout");
    boxes.forEach(({ product, input }) => (input.checked = ticked.has(product)));
    boxes[1].element.title = "Approves the matte: it goes where the batch has it";
  });
  store.watch(["photo", "painted", "saving", "matte", "saved", "behind", "session", "hasBase"], (now) => {
    const products = now.session?.products;
    for (const { product, element } of boxes) element.hidden = Boolean(products?.length && !products.includes(product));
    const current = now.matte?.kind === "exact" && now.matte.sequence === now.painted;
    panel.show(now.saved !== null && now.saved === now.painted ? "done" : current ? "now" : "later");
    show();
  });
  return {
    element: panel.element,
    save: () => {
      if (!save.disabled) void photo()?.mattes.save({ products: [...ticked], ...options(), overwrite: overwrite.input.checked });
    },
  };
}

/**
 * @param {Record<string, unknown>} edges
 * @param {() => void} changed
 */
function edgeOptions(edges, changed) {
  /** @type {Record<string, ReturnType<typeof slider>>} */
  const made = {};
  const sliders = EDGES.map(([key, name, min, max, step, unit, usual]) => {
    made[key] = slider({
      name, min, max, step, text: (value) => (value === usual && usual === 0 ? "off" : `${value} ${unit}`),
      changed: (value, released) => {
        if (value !== usual) edges[key] = value;
        else delete edges[key];
        if (!released) return;
        const opposite = OPPOSITE[key];
        if (opposite && value !== usual) {
          delete edges[opposite];
          made[opposite].set(0);
        }
        changed();
      },
    });
    made[key].set(usual);
    return made[key].element;
  });
  const despill = choice("Despill", [["", "No despill"], ["auto", "Despill: automatic"], ["green", "Despill: green"], ["blue", "Despill: blue"]], (value) => {
    if (value) edges.despill = value;
    else delete edges.despill;
    changed();
  });
  despill.title = TIPS.Despill;
  return [...sliders, make("div", { className: "row" }, despill)];
}

/**
 * The colour of composites, if there is one.
 * @param {import("../state.js").Fields["behind"]} behind
 */
function backgroundOf(behind) {
  return typeof behind === "string" && behind !== "checker" ? behind : undefined;
}

/**
 * @param {OpenPhoto | null} photo
 * @param {string[]} products
 * @param {Record<string, unknown>} options
 */
function links(photo, products, options) {
  if (!photo || !products.length) return [];
  const made = products.map((product) =>
    make("a", { href: photo.api.downloadAddress(photo.id, product, options), download: "" }, PRODUCTS[product][0]),
  );
  return ["Download:", ...made];
}

/**
 * @param {OpenPhoto | null} photo
 * @param {string[]} products
 * @param {Record<string, unknown>} options
 */
async function copyCommand(photo, products, options) {
  if (!photo) return;
  try {
    const { command } = await photo.api.command(photo.id, { products: products.join(","), ...options });
    await navigator.clipboard.writeText(command);
    photo.say(`Copied: ${command}`, "good");
  } catch (error) {
    photo.say(/** @type {Error} */ (error).message, "bad");
  }
}
