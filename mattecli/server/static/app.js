/** The page: its parts, put together. */
import { actionsOf, showFinding } from "./actions.js";
import { Api } from "./api.js";
import { react } from "./events.js";
import { Held } from "./paint/held.js";
import { Refusal } from "./paint/stroke.js";
import { Tools } from "./paint/tools.js";
import { beginPanel } from "./panels/begin.js";
import { byId, retitle } from "./panels/elements.js";
import { finishPanel } from "./panels/finish.js";
import { judgePanel, mattePanel } from "./panels/matte.js";
import { fillStatus } from "./panels/status.js";
import { fillStrip } from "./panels/strip.js";
import { fillToolbar } from "./panels/toolbar.js";
import { fillTop } from "./panels/top.js";
import { fillWipe, takeDrops } from "./panels/wipe.js";
import { Opening } from "./opening.js";
import { OpenPhoto } from "./photo.js";
import { catchUp, resync } from "./reopening.js";
import { Saves } from "./saves.js";
import { cursorOf, listenToKeys } from "./shortcuts.js";
import { sentence } from "./sentence.js";
import { Store, initialFields, lightOf } from "./state.js";
import { tabWord } from "./tab.js";
import { composer } from "./view/composer.js";
import { Viewer } from "./view/viewer.js";

const WORD = 30_000; // milliseconds between signs of life while the tab is hidden
const TURN = 4_000; // milliseconds before a read-only tab asks whether it may write now

/** @type {import("./state.js").Message} */
const CUT = { text: "The outline was not closed, so it was not painted.", kind: "plain" };

const store = new Store(initialFields());
const api = new Api(document.querySelector("meta[name=matte-token]")?.getAttribute("content") ?? "", await tabWord());
const compose = composer();
/** @type {OpenPhoto | null} */
let photo = null;
const saves = new Saves();
let usualSize = store.now.size; // of the brush, until another one is chosen

const picture = /** @type {HTMLCanvasElement} */ (byId("picture"));
const viewer = new Viewer({
  canvas: picture,
  marks: /** @type {HTMLCanvasElement} */ (byId("marks")),
  look,
  mark: (context) => tools.mark(context),
  moved: ({ scale }) => {
    store.set({ scale });
    photo?.mattes.moved();
  },
});
const tools = new Tools({
  viewer,
  store,
  photo: () => photo,
  held: holdRuns(),
  pick: (colour) => {
    store.set({ tool: "brush" });
    void photo?.proposals.make({ source: "key", colour: `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}` });
  },
});
const act = (/** @type {string} */ name) => actions[name]?.();
const finish = finishPanel(store, act, () => photo);
const parts = { api, store, viewer, tools, photo: () => photo, open, save: finish.save };
const actions = actionsOf(parts);
const opening = new Opening(parts);

fillTop(store, act);
fillToolbar(store, act);
fillStatus(store);
fillStrip(store, open);
fillWipe(store);
takeDrops((file) => void photo?.proposals.layFile(file));
byId("panel").append(
  beginPanel(store, act, () => photo),
  mattePanel(store, act, () => photo),
  judgePanel(store, act, (place) => showFinding(parts, place)),
  finish.element,
);
store.watch(["view", "wipe", "wipeAt", "bare", "overlay", "strength", "gamma", "behind", "photo", "matte"], () => viewer.invalidate());
store.watch(["exposure", "view", "wipe"], (now) => photo?.scene.renewPhoto(lightOf(now).exposure));
store.watch(["finish"], ({ finish: options }) => photo?.scene.setFinish(options));
store.watch(["tool"], ({ tool }) => {
  picture.dataset.cursor = cursorOf(tool);
});
addEventListener("themechange", () => viewer.invalidate());
listenToKeys({ store, tools, picture, act });
keepEvents();
void start();

/** @returns {import("./view/viewer.js").Look} */
function look() {
  const { view, wipe, wipeAt, bare, overlay, strength, behind } = store.now;
  const { gamma } = lightOf(store.now);
  photo?.settle();
  const one = (/** @type {import("./view/compose.js").Kind} */ kind) => ({ kind, overlay, strength, gamma });
  const views = bare ? [one("photo")] : wipe && wipe !== view ? [one(view), one(wipe)] : [one(view)];
  return { views, wipe: wipeAt, behind };
}

async function start() {
  try {
    const session = await api.session();
    store.set({ session });
    if (session.report) retitle();
    const last = sessionStorage.getItem("photo");
    const first = session.photos.find(({ id }) => id === last) ?? session.photos.find(({ state }) => state !== "failed") ?? session.photos[0];
    if (first) await open(first.id);
    else byId("opening").textContent = "There is no photo here. Name photos or a folder of photos on the command line.";
  } catch (error) {
    store.set({ message: { text: `${/** @type {Error} */ (error).message}`, kind: "bad" } });
  }
}

/**
 * @param {string} id
 * @param {string} [anew] what is said where the open photo is opened anew
 */
async function open(id, anew = "") {
  if (photo?.id === id && !anew) return opening.stay(id);
  byId("opening").hidden = photo !== null; // the last photo stays until the next one is there
  try {
    const fact = await opening.fact(id);
    if (!fact) return;
    const isCut = tools.forget();
    leave(id);
    if (anew) for (const name of ["begun", "proposed"]) sessionStorage.removeItem(`${name}/${id}`);
    const { box, findings, finding, seen, run, proposing, saving } = initialFields();
    store.set({ box, findings, finding, seen, run, proposing, saving, exposure: 0, gamma: 1, message: anew ? { text: anew, kind: "bad" } : isCut ? CUT : null });
    photo = new OpenPhoto({ api, store, viewer, fact, compose, saves, anew: (word, text) => void open(word, text) });
    photo.scene.setFinish(store.now.finish);
    if (!fact.matte) photo.mattes.soon(); // there is none after a restart
    const judged = store.now.session?.report && fact.matte; // a batch's photo is looked at first
    store.set(fact.painted ? { tool: "brush", view: judged ? "cutout" : "labels" } : { tool: "box", view: "photo" });
    viewer.open(photo.scene, { width: fact.width, height: fact.height });
    if (store.now.size === usualSize) {
      usualSize = Math.max(5, Math.round(Math.max(fact.width, fact.height) / 25));
      store.set({ size: usualSize });
    }
    sessionStorage.setItem("photo", id);
    byId("opening").hidden = true;
    if (anew) store.set({ session: await api.session() }); // how far the photo is now
  } catch (error) {
    const { session } = store.now;
    const damaged = error instanceof Refusal && error.status === 400;
    const photos = session?.photos.map((one) => (one.id === id && damaged ? { ...one, state: /** @type {const} */ ("failed") } : one));
    if (session && photos) store.set({ session: { ...session, photos } });
    const text = sentence(/** @type {Error} */ (error).message);
    if (!photo) byId("opening").textContent = text;
    store.set({ message: { text, kind: "bad" } });
  }
}

/**
 * Lets go of the open photo once its strokes are sent.
 * @param {string} [next] the photo that is opened now
 */
function leave(next) {
  const left = photo;
  if (!left) return;
  left.close();
  if (left.id !== next) void api.close(left.id).catch(() => undefined); // the server notices the silence of the tab
}

/** Runs pause while a pointer is at work on the picture. A word that is lost does no harm. */
function holdRuns() {
  const tell = (/** @type {boolean} */ down) => void api.pointer(down).catch(() => undefined);
  const held = new Held({ tell, running: () => store.now.run !== null });
  return (/** @type {boolean} */ isDown) => (isDown ? held.press() : held.release());
}

/** After a photo was accepted the next one is opened, unless a person has chosen one meanwhile. */
function goOn() {
  if (!opening.busy) actions.nextPhoto();
}

/** One stream of events for the tab, while it is seen. */
function keepEvents() {
  /** @type {(() => void) | null} */
  let end = null;
  let seen = false;
  let again = 0;
  const begin = () => {
    clearTimeout(again); // or a stream would stay open beside this one
    end = api.events(
      (event) => {
        opening.told(event);
        if (photo) react(photo, event, goOn);
      },
      (open, ended) => {
        if (ended) again = setTimeout(() => end && begin(), TURN);
        if (open && seen && photo) {
          void resync(photo, goOn).catch(() => undefined); // the stream tells of the next failure
          void catchUp(photo, store).catch(() => undefined);
        }
        seen = true;
        if (!open) store.set({ online: false });
        else if (!photo?.queue.unsent) store.set({ online: true });
      },
    );
  };
  begin();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      end?.();
      end = null;
    } else if (!end) {
      begin();
    }
  });
  setInterval(() => {
    if (document.hidden) void api.health().catch(() => undefined); // a hidden tab keeps its photo by this
  }, WORD);
  setInterval(() => {
    if (photo && !document.hidden && store.now.photo?.readonly) void resync(photo, goOn).catch(() => undefined); // asked again soon
  }, TURN);
  addEventListener("pagehide", () => leave());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload(); // back from the browser's cache, and its photo was left
  });
  addEventListener("beforeunload", (event) => {
    if (store.now.unsent) event.preventDefault(); // strokes that the server does not have would be lost
  });
}
