/** The matte: made, waited for and judged. */
import { isSeen, left } from "../findings.js";
import { sentence } from "../sentence.js";
import { actionButton, button, check, duration, keepFocus, make, step } from "./elements.js";

/**
 * @typedef {import("../state.js").Store<import("../state.js").Fields>} PageStore
 * @typedef {import("../photo.js").OpenPhoto} OpenPhoto
 */

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 * @param {() => OpenPhoto | null} photo
 */
export function mattePanel(store, act, photo) {
  const start = actionButton("Matte", "matte", act, { className: "primary wide" });
  const cancel = button("Cancel", () => photo()?.mattes.cancel(), { className: "quiet" });
  const text = make("span");
  const share = make("div");
  const bar = make("div", { className: "bar", role: "progressbar", aria: { label: "Progress of the matte", valuemin: 0, valuemax: 100 } }, share);
  const task = make("div", { className: "task" }, bar, text, cancel);
  const state = make("div", { className: "task" });
  const automatic = check("Update by itself", "A matte is made 0.7 seconds after each change: the exact one where that takes under 10 seconds, else a preview of what is in view", (on) => {
    store.set({ automatic: on });
    if (on) photo()?.mattes.soon();
  });
  const panel = step("2", "Matte", make("div", { className: "row" }, start), task, state, automatic.element);
  store.watch(["run", "matte", "painted", "hasBase", "estimate", "automatic", "photo", "saving"], (now) => {
    const busy = now.run !== null;
    task.hidden = !busy;
    state.hidden = busy;
    start.disabled = !now.photo || now.photo.readonly || now.painted === 0 || now.run?.kind === "exact";
    automatic.input.checked = now.automatic;
    state.textContent = describe(now);
    panel.show(now.matte?.kind === "exact" && now.matte.sequence === now.painted ? "done" : now.hasBase ? "now" : "later");
    if (!now.run) return;
    const part = Math.min(Math.max(now.run.share, 0), 1);
    share.style.transform = part > 0 ? `scaleX(${part})` : "";
    bar.dataset.busy = String(part === 0);
    bar.ariaValueNow = String(Math.round(100 * part));
    text.textContent = `${now.run.kind === "exact" ? "Exact" : "Preview"}${now.run.left === null ? "…" : `, ${duration(now.run.left)} left`}`;
  });
  return panel.element;
}

/** @param {Readonly<import("../state.js").Fields>} now */
function describe({ matte, painted, estimate }) {
  const takes = estimate ? ` takes about ${duration(estimate)}` : "";
  if (!matte) return takes ? `The exact matte${takes}.` : "There is no matte yet.";
  const old = matte.sequence === painted ? "" : ", older than the paint";
  if (matte.kind === "exact") return `Exact${old}.`;
  const error = matte.error ? ` (${typeof matte.error === "number" ? `error about ${matte.error.toPrecision(1)}` : matte.error})` : "";
  return `Preview${error}${old}.`;
}

/**
 * @param {PageStore} store
 * @param {(action: string) => void} act
 * @param {(place: number) => void} goTo
 */
export function judgePanel(store, act, goTo) {
  const text = make("p");
  const list = make("ul", { className: "findings" });
  const next = actionButton("Next", "next", act, { className: "quiet wide" });
  const previous = actionButton("Previous", "previous", act, { className: "quiet wide" });
  const refine = button("Trimap anew from the matte", () => act("fromMatte"), {
    className: "quiet",
    title: "Makes a new trimap from the exact matte",
  });
  const steps = make("div", { className: "row" }, previous, next);
  /** @type {import("../api.js").Finding[] | null} */
  let listed = null;
  const panel = step("3", "Judge", text, steps, list, make("div", { className: "row" }, refine));
  store.watch(["findings", "finding", "seen", "matte", "photo"], ({ findings, finding, seen, matte }) => {
    refine.disabled = matte?.kind !== "exact" || !store.now.photo || store.now.photo.readonly;
    text.textContent = summary(findings, seen, matte);
    steps.hidden = list.hidden = !findings?.length;
    if (findings !== listed) {
      listed = findings;
      const places = (findings ?? []).map((one, i) => make("li", {}, button(`${i + 1}. ${sentence(one.text).slice(0, -1)}`, () => goTo(i), { title: sentence(one.text) })));
      keepFocus(list, () => list.replaceChildren(...places));
    }
    [...list.children].forEach((item, i) => {
      const one = /** @type {HTMLButtonElement} */ (item.firstElementChild);
      one.ariaPressed = String(i === finding);
      one.dataset.seen = String(findings !== null && isSeen(findings[i], seen));
      if (i === finding) one.scrollIntoView({ block: "nearest" });
    });
    panel.show(matte && findings?.length === 0 ? "done" : "later");
  });
  return panel.element;
}

/**
 * @param {import("../api.js").Finding[] | null} findings
 * @param {import("../api.js").Finding[]} seen
 * @param {import("../api.js").Matte | null} matte
 */
function summary(findings, seen, matte) {
  if (!findings) return matte?.kind === "exact" ? "" : "Press Matte to list doubtful places.";
  if (!findings.length) return "No doubtful places were found.";
  const rest = left(findings, seen);
  if (!rest) return `All ${findings.length} places were looked at.`;
  if (rest === findings.length) return rest === 1 ? "One place to look at:" : `${rest} places to look at, the worst first:`;
  return `${rest} of ${findings.length} places left to look at:`;
}
