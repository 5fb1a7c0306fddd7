/** The film strip: the photos of the folder, and what became of them. */
import { byId, make } from "./elements.js";

const MARKS = { untouched: "○", started: "◐", done: "●", failed: "✕" };
const NAMES = { untouched: "untouched", started: "started", done: "done", failed: "failed" };
const SHOWN = 100; // photos on each side of the open one

/**
 * @param {import("../state.js").Store<import("../state.js").Fields>} store
 * @param {(id: string) => void} open
 */
export function fillStrip(store, open) {
  const strip = byId("strip");
  store.watch(["session", "photo", "painted", "saved"], ({ session, photo, painted, saved }) => {
    const photos = session?.photos ?? [];
    strip.hidden = photos.length < 2;
    if (strip.hidden) return;
    const at = Math.max(photos.findIndex(({ id }) => id === photo?.id), 0);
    const shown = photos.slice(Math.max(at - SHOWN, 0), at + SHOWN + 1);
    const stateOf = (/** @type {import("../api.js").PhotoFact} */ { id, state }) => {
      if (id !== photo?.id || painted === 0) return state;
      return saved === painted ? "done" : "started";
    };
    const done = photos.filter((one) => stateOf(one) === "done").length;
    const buttons = shown.map((one) => {
      const { id, name } = one;
      const state = stateOf(one);
      const mark = make("i", { data: { state }, aria: { hidden: true } }, MARKS[state]);
      const made = make("button", { type: "button", title: `${name}, ${NAMES[state]}`, aria: { label: `${name}, ${NAMES[state]}` } }, mark, name);
      if (id === photo?.id) made.setAttribute("aria-current", "true");
      made.addEventListener("click", () => open(id));
      return made;
    });
    strip.replaceChildren(make("span", { className: "number" }, `${at + 1} of ${photos.length}, ${done} done`), ...buttons);
    strip.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  });
}
