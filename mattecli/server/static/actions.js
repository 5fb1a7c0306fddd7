/** What the keys and buttons do, by the names of the table in `keys.js`. */
import { following, left } from "./findings.js";
import { VIEWS } from "./panels/top.js";
import { toggleHelp } from "./panels/help.js";

/**
 * @typedef {{store: import("./state.js").Store<import("./state.js").Fields>, viewer: import("./view/viewer.js").Viewer,
 *   tools: import("./paint/tools.js").Tools, photo: () => import("./photo.js").OpenPhoto | null,
 *   open: (id: string) => void, save: () => void}} Parts
 * @typedef {Record<string, () => void>} Actions
 */

const OVERLAYS = /** @type {const} */ (["tint", "borders", "bright"]);
const STEP = 0.1; // of the view, for an arrow key

/**
 * @param {Parts} parts
 * @returns {Actions}
 */
export function actionsOf(parts) {
  return { ...painting(parts), ...looking(parts), ...matting(parts), ...moving(parts) };
}

/** @param {Parts} parts @returns {Actions} */
function painting({ store, tools, photo }) {
  const label = (/** @type {0 | 128 | 255} */ value) => () => {
    const paints = ["brush", "lasso", "polygon", "fill"].includes(store.now.tool);
    const view = store.now.view === "trimap" || store.now.view === "cutout" ? store.now.view : "labels";
    store.set({ label: value, eraser: false, tool: paints ? store.now.tool : "brush", view });
  };
  const tool = (/** @type {import("./state.js").Tool} */ name) => () => {
    tools.cancel();
    store.set({ tool: name });
  };
  return {
    foreground: label(255),
    background: label(0),
    unknown: label(128),
    swap: () => label(store.now.label === 255 ? 0 : 255)(),
    eraser: () => store.set({ eraser: !store.now.eraser, tool: ["box", "hand", "edge"].includes(store.now.tool) ? "brush" : store.now.tool }),
    smaller: () => tools.resize(-1),
    larger: () => tools.resize(1),
    undo: () => photo()?.undo(),
    redo: () => photo()?.redo(),
    brush: tool("brush"),
    edge: tool("edge"),
    lasso: tool("lasso"),
    polygon: tool("polygon"),
    fill: tool("fill"),
    box: tool("box"),
    hand: tool("hand"),
    close: () => void tools.finish(),
    cancel: () => {
      if (tools.cancel()) return;
      if (store.now.tool === "pick") store.set({ tool: "brush" });
      else if (store.now.run) photo()?.mattes.cancel();
      else store.set({ message: null });
    },
  };
}

/** @param {Parts} parts @returns {Actions} */
function looking({ store, viewer }) {
  const another = (/** @type {number} */ step) => () => {
    const kinds = VIEWS.map(([kind]) => kind);
    store.set({ view: kinds[(kinds.indexOf(store.now.view) + step + kinds.length) % kinds.length] });
  };
  return {
    fit: () => viewer.fit(),
    actual: () => viewer.zoom(1),
    in: () => viewer.step(1),
    out: () => viewer.step(-1),
    view: another(1),
    viewBack: another(-1),
    overlay: () => {
      const next = OVERLAYS[(OVERLAYS.indexOf(store.now.overlay) + 1) % OVERLAYS.length];
      store.set({ overlay: store.now.view === "labels" ? next : store.now.overlay, view: "labels" });
    },
    wipe: () => {
      const other = store.now.view === "photo" ? "cutout" : "photo";
      store.set({ wipe: store.now.wipe === null ? other : null, wipeAt: 0.5 });
    },
    help: () => toggleHelp(Boolean(store.now.session?.report)),
  };
}

/**
 * Goes to a doubtful place, which then counts as looked at.
 * @param {Parts} parts
 * @param {number} place in the list
 */
export function showFinding({ store, viewer }, place) {
  const { findings, seen } = store.now;
  const shown = findings?.[place];
  if (!shown) return;
  store.set({ finding: place, seen: [...seen, shown] });
  viewer.goTo(shown.x, shown.y, Math.max(viewer.transform.scale, 1));
}

/** @param {Parts} parts @returns {Actions} */
function matting(parts) {
  const { store, photo, save, tools } = parts;
  const finding = (/** @type {1 | -1} */ step) => () => {
    const { findings, seen, finding: now } = store.now;
    if (!findings?.length) return photo()?.say(findings ? "There are no doubtful places." : "Press Matte to list doubtful places.");
    const one = left(findings, seen) === 1;
    showFinding(parts, following(findings, seen, now, step));
    if (one && step > 0) photo()?.say("This is the last doubtful place.", "good");
  };
  return {
    propose: () => {
      if (tools.finish()) return;
      const { box, painted, proposing } = store.now;
      if (proposing) return;
      if (!box && !painted) return photo()?.say("Drag a box around the subject first, or paint on it.");
      void photo()?.proposals.make({ source: box ? "box" : "strokes" });
    },
    matte: () => {
      if (!store.now.painted) return photo()?.say("There is no trimap yet. Begin with a box, strokes or a mask.");
      const { matte, painted } = store.now;
      if (matte?.kind === "exact" && matte.sequence === painted && !matte.given) photo()?.mattes.show();
      else void photo()?.mattes.make("exact", true);
    },
    fromMatte: () => void photo()?.proposals.make({ source: "matte" }),
    next: finding(1),
    previous: finding(-1),
    save,
    accept: () => {
      const { session, saving, photo: fact, painted } = store.now;
      if (session?.report && !saving && fact && !fact.readonly && painted) void photo()?.mattes.accept();
    },
  };
}

/** @param {Parts} parts @returns {Actions} */
function moving({ store, viewer, open }) {
  const pan = (/** @type {number} */ x, /** @type {number} */ y) => () => {
    const { scale, left, top } = viewer.transform;
    const { width, height } = viewer.size;
    viewer.move({ scale, left: left - x * STEP * width, top: top - y * STEP * height });
  };
  const beside = (/** @type {number} */ step) => () => {
    const photos = store.now.session?.photos ?? [];
    const at = photos.findIndex(({ id }) => id === store.now.photo?.id);
    const others = step > 0 ? photos.slice(at + 1) : photos.slice(0, Math.max(at, 0)).reverse();
    const next = others.find(({ state }) => state !== "failed");
    if (next) open(next.id);
  };
  return {
    nextPhoto: beside(1),
    previousPhoto: beside(-1),
    moveLeft: pan(-1, 0),
    moveRight: pan(1, 0),
    moveUp: pan(0, -1),
    moveDown: pan(0, 1),
  };
}
