/** The handle of the wipe, and files that are dropped on the picture. */
import { byId } from "./elements.js";

/** @param {import("../state.js").Store<import("../state.js").Fields>} store */
export function fillWipe(store) {
  const handle = byId("wipe");
  const stage = byId("stage");
  const set = (/** @type {number} */ at) => store.set({ wipeAt: Math.min(Math.max(at, 0), 1) });
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    const { left, width } = stage.getBoundingClientRect();
    if (handle.hasPointerCapture(event.pointerId)) set((event.clientX - left) / width);
  });
  handle.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft" || key === "ArrowRight") set(store.now.wipeAt + (key === "ArrowLeft" ? -0.02 : 0.02));
  });
  store.watch(["wipe", "wipeAt"], ({ wipe, wipeAt }) => {
    handle.hidden = wipe === null;
    handle.style.left = `${100 * wipeAt}%`;
    handle.ariaValueNow = String(Math.round(100 * wipeAt));
  });
}

/** @param {(file: File) => void} dropped */
export function takeDrops(dropped) {
  const hint = byId("drop");
  const show = (/** @type {boolean} */ on) => (hint.hidden = !on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    if (event.dataTransfer?.types.includes("Files")) show(true);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) show(false);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(false);
    const file = event.dataTransfer?.files[0];
    if (file) dropped(file);
  });
}
