/** The open photo asks the server for its state: after a pause of its events, and after the server was started anew. */
import { react } from "./events.js";
import { Refusal } from "./paint/stroke.js";

/** @typedef {import("./photo.js").OpenPhoto} OpenPhoto */

/**
 * Takes over the state after a pause. What ended meanwhile is told as if its event had come.
 * @param {OpenPhoto} photo
 * @param {() => void} [goOn] opens the next photo
 */
export async function resync(photo, goOn = () => {}) {
  const { run, proposing, saving } = photo.store.now;
  const fact = await reopened(photo);
  if (photo.closed) return void (await photo.api.close(photo.id)); // it was left meanwhile; else no other tab may paint it
  if (photo.queue.unsent === 0) photo.queue.last = fact.sequence;
  photo.sync(fact);
  const { ended = [], ...going } = fact.going ?? { run: null, proposing: null, saving: null };
  for (const event of ended) {
    const isAwaited = event.save ? event.save === saving
      : event.proposal ? event.proposal === proposing
      : run !== null && run.run === (event.matte?.run ?? event.run);
    if (isAwaited) react(photo, event, goOn);
  }
  if (fact.readonly) Object.assign(going, { run: null, proposing: null, saving: null });
  if (photo.proposals.dropped.has(going.proposing ?? "")) going.proposing = null;
  const { now } = photo.store;
  if (now.run === run) photo.store.set({ run: going.run });
  if (now.proposing === proposing && proposing !== "…") photo.store.set({ proposing: going.proposing });
  if (now.saving !== saving || saving === "…") return;
  photo.store.set({ saving: going.saving });
  if (saving && !going.saving) photo.say("The server was started anew before the files were saved. Save again.", "bad");
}

/**
 * What the server says of the photo. One that was started anew has other words for its photos.
 * @param {OpenPhoto} photo
 */
export async function reopened(photo) {
  try {
    return await photo.api.open(photo.id);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
    const session = await photo.api.session();
    const same = session.photos.find(({ name }) => name === photo.store.now.photo?.name);
    if (!same) throw error;
    photo.id = same.id;
    photo.store.set({ session });
    return await photo.api.open(photo.id);
  }
}
