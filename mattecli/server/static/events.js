/** What the server's events mean for the open photo. */
import { sentence } from "./sentence.js";

/**
 * @typedef {import("./photo.js").OpenPhoto} OpenPhoto
 * @typedef {import("./api.js").ServerEvent} ServerEvent
 */

/**
 * @param {OpenPhoto} photo
 * @param {ServerEvent} event
 * @param {() => void} goOn opens the next photo
 */
export function react(photo, event, goOn) {
  const isOther = (event.photo ?? photo.id) !== photo.id;
  const name = event.save ? photo.saves.end(event) : undefined;
  if (isOther && event.save) return ended(photo, event, name);
  if (isOther || (event.type === "taken" && event.tab === photo.api.tab)) return;
  if (event.type !== "progress") photo.heard += 1;
  const { saving } = photo.store.now;
  const isOwn = name !== undefined || saving === "…" || saving === event.save; // that is, its save
  REACTIONS[event.type]?.(photo, event, goOn, isOwn);
}

/**
 * A save has ended whose photo was left meanwhile: the film strip shows it, and the tab that began it tells of it.
 * @param {OpenPhoto} photo any of the page
 * @param {ServerEvent} event
 * @param {string} [name] of the other photo, where this tab began to save it; empty for the photo itself
 */
export function ended(photo, { photo: id, files, progress, error, approved }, name) {
  if (progress) photo.mark(id ?? "", progress);
  if (name === undefined) return;
  photo.tell(error ? sentence(error) : saved(files, approved), error ? "bad" : "good", name);
}

/**
 * @param {{name: string}[]} files
 * @param {boolean} approved
 */
function saved(files, approved) {
  const names = files.map(({ name }) => name);
  return `${approved ? "Approved. " : ""}${names.length ? `Saved ${names.join(", ")}.` : ""}`.trim();
}

/** @type {Record<string, (photo: OpenPhoto, event: ServerEvent, goOn: () => void, isOwn: boolean) => void>} */
const REACTIONS = {
  proposal(photo, event) {
    photo.proposals.told(event);
  },

  progress({ store }, { run, share, left }) {
    const now = store.now.run;
    if (now && now.run === run) store.set({ run: { ...now, share, left: left ?? null } });
  },

  matte(photo, { matte, estimate }) {
    const { store, scene } = photo;
    const { run, painted, photo: fact } = store.now;
    photo.mattes.ended(matte.run);
    if (run && run.run !== matte.run && run.kind === "exact" && matte.kind === "preview") return;
    store.set({ matte, run: run?.run === matte.run || run?.kind === matte.kind ? null : run });
    if (estimate?.exact !== undefined) store.set({ estimate: estimate.exact });
    scene.showMatte(matte);
    if (matte.kind === "exact") {
      void photo.mattes.find(matte.run);
      const isAsked = matte.run === photo.mattes.asked;
      if (isAsked && matte.sequence === painted) photo.mattes.show(); // who has painted on goes on
      else if (isAsked) photo.say("The exact matte is ready, from older paint.", "good");
    }
    if (matte.sequence !== painted && fact) photo.mattes.soon();
  },

  failed(photo, { run, save, error, cancelled }, _, isOwn) {
    if (save && !isOwn) return;
    if (run) photo.mattes.ended(run);
    if (run && photo.store.now.run?.run === run) photo.store.set({ run: null });
    if (cancelled) return;
    photo.say(sentence(error), "bad");
    if (!save) return; // a save that waited for the run tells of itself
    photo.mattes.accepting = false;
    photo.store.set({ saving: null });
  },

  saved(photo, { files, sequence, approved }, goOn, isOwn) {
    photo.store.set({ saved: sequence });
    if (!isOwn) return; // another tab saved it
    photo.store.set({ saving: null });
    photo.say(saved(files, approved), "good");
    const goesOn = photo.mattes.accepting;
    photo.mattes.accepting = false;
    if (goesOn) goOn();
  },

  changed(photo, { file }) {
    const what = file === "photo" ? "photo" : "trimap";
    photo.say(`The ${what} was changed on disk since it was opened. Open the page anew before you save.`, "bad");
  },

  taken(photo) {
    photo.taken();
  },

  closing(photo) {
    photo.say("The server has ended. All that it has is kept: start it again with `--port` and the number in the address of this page.", "bad");
  },
};
