/** The state line, the messages, and what a screen reader is told. */
import { byId, make } from "./elements.js";

const SHOWN = 5000; // milliseconds that a message is shown; one that something failed stays until the next press after that
const CALM = 900; // milliseconds without a change before the state is read out

/** @param {import("../state.js").Store<import("../state.js").Fields>} store */
export function fillStatus(store) {
  const facts = make("span");
  const state = make("span");
  byId("status").append(state, facts);
  let timer = 0;
  let read = ""; // what of it was read out last
  store.watch(["painted", "matte", "saved", "unsent", "online", "stuck", "photo", "run", "proposing"], (now) => {
    const parts = partsOf(now);
    state.replaceChildren(...parts.flatMap((part, i) => (i ? [" · ", part] : [part])));
    clearTimeout(timer);
    const text = state.textContent ?? "";
    if (text === read) return; // a read-only tab asks for the same every few seconds
    timer = setTimeout(() => tell((read = text)), CALM);
  });
  store.watch(["photo"], ({ photo }) => {
    byId("name").textContent = photo?.name ?? "matte";
    document.title = photo ? `${photo.name} – matte` : "matte";
    facts.textContent = photo
      ? `${photo.width} × ${photo.height} · ${photo.bits} bits · ${photo.space}${photo.readonly ? " · read-only" : ""}`
      : "";
  });
  showMessages(store);
}

/**
 * @param {Readonly<import("../state.js").Fields>} now
 * @returns {HTMLElement[]}
 */
function partsOf({ painted, matte, saved, unsent, online, stuck, photo, run, proposing }) {
  if (!photo) return [make("span", {}, "Opening…")];
  const parts = [make("span", {}, painted ? `Painted ${painted}` : "Nothing painted")];
  if (matte) {
    const current = matte.sequence === painted;
    const kind = `${matte.kind}${current ? "" : ", old"}`;
    parts.push(make("span", { className: current && matte.kind === "exact" ? "good" : "" }, `matte from ${matte.sequence} (${kind})`));
  } else {
    parts.push(make("span", {}, "no matte"));
  }
  parts.push(make("span", { className: saved === painted && saved ? "good" : "" }, saved === null ? "not saved" : `saved ${saved}`));
  if (proposing) parts.push(make("b", {}, "proposing"));
  if (run) parts.push(make("b", {}, run.kind === "exact" ? "computing the exact matte" : "computing a preview"));
  const why = photo.readonly ? "the photo is open elsewhere" : stuck ? "the server cannot open the photo" : "the server does not answer";
  if (unsent && !online) parts.push(make("b", { className: "bad" }, `${unsent} unsent: ${why}`));
  else if (!online && !photo.readonly) parts.push(make("b", { className: "bad" }, why));
  return parts;
}

/** @param {import("../state.js").Store<import("../state.js").Fields>} store */
function showMessages(store) {
  const toast = byId("toast");
  let timer = 0;
  let old = false;
  addEventListener("pointerdown", () => {
    if (old) toast.hidden = true;
  });
  store.watch(["message"], ({ message }) => {
    clearTimeout(timer);
    old = false;
    toast.hidden = message === null;
    if (!message) return;
    toast.textContent = message.text;
    toast.dataset.kind = message.kind;
    tell(message.text);
    timer = setTimeout(() => {
      old = true;
      toast.hidden = message.kind !== "bad";
    }, SHOWN);
  });
}

/** @param {string} text */
function tell(text) {
  byId("live").textContent = text;
}
