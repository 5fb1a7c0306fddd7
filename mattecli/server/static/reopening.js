/** The open photo asks the server for its state: after a pause of its events, and after the server was started anew. */
import { ended, react } from "./events.js";
import { Refusal } from "./paint/stroke.js";
import { sentence } from "./sentence.js";

/** @typedef {import("./photo.js").OpenPhoto} OpenPhoto */

const LOST = "The server was started anew before the files were saved. Save again.";

/**
 * Takes over the state after a pause. What ended meanwhile is told as if its event had come.
 * @param {OpenPhoto} photo
 * @param {() => void} [goOn] opens the next photo
 */
export async function resync(photo, goOn = () => {}) {
  const fact = await reopened(photo);
  if (!fact) return;
  const { run, proposing, saving } = photo.store.now;
  const isWriter = photo.store.now.photo?.readonly && !fact.readonly; // from now on
  if (isWriter || photo.queue.unsent === 0) photo.queue.renumber(fact.sequence);
  photo.sync(fact);
  const { ended = [], ...going } = fact.going ?? { run: null, proposing: null, saving: null };
  for (const event of ended) {
    const isAwaited = event.save ? event.save === saving || photo.saves.awaits(event.save)
      : event.proposal ? event.proposal === proposing
      : run !== null && run.run === (event.matte?.run ?? event.run);
    if (isAwaited) react(photo, event, goOn);
  }
  if (fact.readonly) Object.assign(going, { run: null, proposing: null, saving: going.saving === saving ? saving : null });
  const { now } = photo.store;
  if (now.run === run) photo.store.set({ run: going.run });
  if (now.proposing === proposing && proposing !== "…") photo.store.set({ proposing: photo.proposals.adopted(going.proposing) });
  if (now.saving !== saving || saving === "…") return;
  photo.store.set({ saving: going.saving });
  if (!saving || going.saving) return;
  photo.saves.forget(saving);
  photo.mattes.accepting = false;
  photo.say(LOST, "bad");
}

/**
 * After a pause of the events: the film strip is as the server has it, and saves of photos that were left are told of.
 * @param {OpenPhoto} photo the open one, whose own save is for `resync`
 * @param {import("./state.js").Store<import("./state.js").Fields>} store
 */
export async function catchUp(photo, store) {
  const awaited = photo.saves.awaited;
  const before = store.now.session;
  const session = await photo.api.session();
  store.set({ session });
  const ends = (session.saves?.ended ?? []).filter((event) => event.photo !== photo.id && photo.saves.awaits(event.save));
  ends.sort((a, b) => Number(Boolean(a.error)) - Number(Boolean(b.error))); // the last one told is what is read
  for (const event of ends) ended(photo, event, photo.saves.end(event));
  const isSame = session.photos.some(({ id }) => before?.photos.some((one) => one.id === id));
  if (isSame) return;
  for (const [save, name] of awaited) {
    if (save === store.now.saving || !photo.saves.forget(save)) continue;
    photo.tell(LOST, "bad", name);
  }
}

/**
 * This tab paints the photo from now on; another one no longer does.
 * @param {OpenPhoto} photo
 */
export async function takeOver(photo) {
  try {
    const fact = await reopened(photo, true);
    if (!fact) return;
    if (!fact.readonly) photo.queue.renumber(fact.sequence); // the other tab has used its numbers
    photo.sync(fact);
    if (fact.readonly) return photo.refuse();
    const { run = null, proposing = null, saving = null } = fact.going ?? {};
    photo.store.set({ run, saving, proposing: photo.proposals.adopted(proposing) }); // of the other tab
    photo.say("You paint here now. The other tab is read-only.", "good");
  } catch (error) {
    photo.say(sentence(/** @type {Error} */ (error).message), "bad");
  }
}

/**
 * What the server says of the photo; null where the photo was left meanwhile. An answer that something newer has overtaken
 * is asked for again. Where the photo's file is another one by now, it is opened anew, and this throws an error.
 * @param {OpenPhoto} photo
 * @param {boolean} [take] whether this tab paints it from now on
 */
export async function reopened(photo, take = false) {
  for (let takes = take; ; takes = false) {
    const before = known(photo);
    const fact = await found(photo, takes).catch((error) => {
      if (error instanceof Refusal) sayOnce(photo, sentence(error.message));
      throw error;
    });
    photo.refusal = "";
    if (photo.closed) {
      if (!photo.isBack) await photo.api.close(photo.id); // else no other tab may paint it
      return null;
    }
    if (known(photo) !== before) continue;
    photo.heard += 1;
    if (fact.content === photo.content) return fact;
    const lost = photo.queue.forget() ? " Strokes that were not sent are lost." : "";
    const text = `${photo.name} was changed on the disk, so it was opened anew.${lost}`;
    photo.anew(photo.id, text);
    throw new Error(text);
  }
}

/**
 * Says why the server refuses: once, for it is asked every few seconds.
 * @param {OpenPhoto} photo
 * @param {string} text
 */
function sayOnce(photo, text) {
  if (text !== photo.refusal) photo.say(text, "bad");
  photo.refusal = text;
}

/**
 * What the page knows of the server's doings; it changes with each answer and event.
 * @param {OpenPhoto} photo
 */
function known({ heard, store }) {
  const { run, proposing, saving } = store.now;
  return [heard, run?.run, proposing, saving].join();
}

/**
 * A server that was started anew has other words for its photos, so the photo is looked for by its name and content.
 * @param {OpenPhoto} photo
 * @param {boolean} take
 */
async function found(photo, take) {
  try {
    return await photo.api.open(photo.id, take);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
    const session = await photo.api.session();
    const named = session.photos.filter(({ name }) => name === photo.name);
    for (const { id } of named) {
      const fact = await photo.api.open(id);
      if (named.length === 1 || fact.content === photo.content) {
        photo.id = id;
        photo.scene.renewLabels(); // tiles that were refused under the old id are asked for again
        if (!photo.closed) sessionStorage.setItem("photo", id);
        photo.store.set({ session });
        return take ? await photo.api.open(id, true) : fact;
      }
      await photo.api.close(id);
    }
    throw new Refusal(`The server was started anew without ${photo.name}. Start it again with this photo.`, 404);
  }
}
