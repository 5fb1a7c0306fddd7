/** The film strip: small pictures of the photos of the folder, and what became of each. */
import { Thumbnails } from "./thumbnails.js";
import { button, byId, make } from "./elements.js";

/**
 * @typedef {import("../api.js").PhotoFact} PhotoFact
 * @typedef {{button: HTMLButtonElement, picture: HTMLImageElement, mark: HTMLElement, state: string, content: string}} Frame
 *   of a photo in the strip; content: the hash of the file that was opened last, of which the picture is
 */

const MARKS = { untouched: "○", started: "◐", done: "✓", failed: "✕" };
const SHOWN = 100; // photos on each side of the open one

/**
 * @param {import("../state.js").Store<import("../state.js").Fields>} store
 * @param {(id: string) => void} open
 */
export function fillStrip(store, open) {
  const strip = byId("strip");
  const thumbnails = new Thumbnails(strip);
  const count = make("span", { className: "number" });
  const list = make("div", { className: "frames" });
  strip.append(count, list);
  /** @type {Map<string, Frame>} */
  const frames = new Map();
  store.watch(["session", "photo", "painted", "saved"], ({ session, photo, painted, saved }) => {
    const photos = session?.photos ?? [];
    strip.hidden = photos.length < 2;
    if (strip.hidden) return;
    const at = Math.max(photos.findIndex(({ id }) => id === photo?.id), 0);
    const stateOf = (/** @type {PhotoFact} */ { id, state }) => {
      if (id !== photo?.id || painted === 0) return state;
      return saved === painted ? "done" : "started";
    };
    const shown = photos.slice(Math.max(at - SHOWN, 0), at + SHOWN + 1).map((one) => {
      const frame = frames.get(one.id) ?? frameOf(one, open, thumbnails);
      frames.set(one.id, frame);
      mark(frame, one, stateOf(one));
      if (photo && one.id === photo.id && photo.content !== frame.content) {
        frame.content = photo.content; // the file may be another one than when its small picture was loaded
        thumbnails.add(frame.picture, `${addressOf(one)}?content=${photo.content}`);
      }
      frame.button.ariaCurrent = one.id === photo?.id ? "true" : null;
      return frame.button;
    });
    const done = photos.filter((one) => stateOf(one) === "done").length;
    count.textContent = `${at + 1} of ${photos.length}, ${done} done`;
    if (shown.length === list.childElementCount && shown.every((one, i) => one === list.children[i])) {
      if (list.dataset.at === String(at)) return;
    } else {
      list.replaceChildren(...shown);
    }
    list.dataset.at = String(at);
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  });
}

/**
 * @param {PhotoFact} photo
 * @param {(id: string) => void} open
 * @param {Thumbnails} thumbnails
 * @returns {Frame}
 */
function frameOf(photo, open, thumbnails) {
  const { id, name } = photo;
  const sign = make("i", { aria: { hidden: true } });
  const picture = make("img", { alt: "", width: 72, height: 48 });
  const frame = button("", () => open(id));
  frame.append(picture, make("span", {}, sign, make("span", {}, name)));
  thumbnails.add(picture, addressOf(photo));
  return { button: frame, picture, mark: sign, state: "", content: "" };
}

/** @param {PhotoFact} photo */
function addressOf({ id }) {
  return `/app/photos/${id}/thumbnail`;
}

/**
 * @param {Frame} frame
 * @param {PhotoFact} photo
 * @param {PhotoFact["state"]} state
 */
function mark(frame, { name }, state) {
  if (frame.state === state) return;
  frame.state = state;
  frame.mark.textContent = MARKS[state];
  frame.mark.dataset.state = state;
  frame.button.title = frame.button.ariaLabel = `${name}, ${state}`;
}
