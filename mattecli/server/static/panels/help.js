/** The list of keys. */
import { BINDINGS, REPORT_BINDINGS, keysOf, shown } from "../keys.js";
import { button, byId, make } from "./elements.js";

/**
 * Shows the list, or closes it.
 * @param {boolean} inReport whether the photos are those of a batch's report
 */
export function toggleHelp(inReport) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("help"));
  if (dialog.open) return dialog.close();
  if (!dialog.childElementCount) fill(dialog, inReport);
  dialog.showModal();
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {boolean} inReport
 */
function fill(dialog, inReport) {
  const bindings = inReport ? [...REPORT_BINDINGS, ...BINDINGS] : BINDINGS;
  const groups = [...new Set(bindings.map(({ group }) => group))];
  const sections = groups.map((group) => {
    const rows = bindings.filter((binding) => binding.group === group).flatMap((binding) => [
      make("dt", { title: binding.tip }, binding.name),
      make("dd", {}, ...keysOf(binding, inReport).flatMap((key) => [make("kbd", {}, shown(key)), " "])),
    ]);
    return make("section", {}, make("h2", {}, group), make("dl", {}, ...rows));
  });
  const close = button("Close", () => dialog.close(), { className: "quiet" });
  const title = make("h1", { id: "help-title" }, "Keys");
  const about = make("p", {}, "The wheel zooms to the cursor. Space or the middle button moves the picture. The right button, dragged sideways, changes the brush. Shift and a click draw a straight line. On a Mac, Cmd works as Ctrl.");
  dialog.append(title, about, make("div", { className: "keys" }, ...sections), close);
}
