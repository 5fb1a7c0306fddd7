/** The tools, each with its name. */
import { actionButton, byId, make } from "./elements.js";

/** @type {[tool: import("../state.js").Tool, name: string, path: string][]} */
const TOOLS = [
  ["box", "Box", "M4 5h12v10H4z"],
  ["brush", "Brush", "M16.5 3.5 9 11m-1 1c-2 0-3 1.2-3 2.8 0 1-.8 1.7-2 1.7 1 .8 2 1 3 1 2 0 4-1.4 4-3.5 0-1-.8-2-2-2z"],
  ["edge", "Edge", "M3 16c4 0 3-5 7-6s4-6 7-6M6.500 17.500c1-.2 1.800-.8 2.300-1.500m1.400-3.600c.6-.6 1.400-.9 2.200-1.200m2.600-3.700c.6-.7 1.300-1.300 2.200-1.500"],
  ["lasso", "Lasso", "M10 4c4 0 7 1.8 7 4.2S14 12.5 10 12.5 3 10.700 3 8.300 6 4 10 4zM5.500 11.500C4.500 13 5 14.500 6.500 14.500S8 16.500 6.500 17"],
  ["polygon", "Polygon", "M4 15 6 5l9-1 1.500 8L9 16z"],
  ["fill", "Fill", "M9 3l6.500 6.500L9 16 3.500 10.500 9 5M3.500 10.500h12M17 13c1 1.400 1.500 2.200 1.500 2.900a1.500 1.500 0 0 1-3 0c0-.7.5-1.500 1.500-2.900z"],
  ["hand", "Hand", "M7 10V5.500a1.200 1.200 0 0 1 2.400 0V9m0-.5v-4a1.200 1.200 0 0 1 2.400 0V9m0-3a1.200 1.200 0 0 1 2.400 0v6c0 3-1.700 5-4.600 5-2.300 0-3.400-1.200-4.300-3L4 11.500c-.4-1 .9-1.700 1.700-.8L7 12.500"],
];

/**
 * @param {import("../state.js").Store<import("../state.js").Fields>} store
 * @param {(action: string) => void} act
 */
export function fillToolbar(store, act) {
  const tools = TOOLS.map(([tool, name, path]) => {
    const made = actionButton("", tool, act, { className: "tool", data: { tool } });
    made.append(icon(path), name);
    return made;
  });
  const undo = actionButton("", "undo", act, { className: "tool" });
  undo.append(icon("M5 8h7.500a4 4 0 0 1 0 8H8M5 8l3.500-3.500M5 8l3.500 3.500"), "Undo");
  const redo = actionButton("", "redo", act, { className: "tool" });
  redo.append(icon("M15 8H7.500a4 4 0 0 0 0 8H12M15 8l-3.500-3.500M15 8l-3.500 3.500"), "Redo");
  byId("tools").append(...tools, make("hr"), undo, redo);
  store.watch(["tool"], (now) => {
    for (const one of tools) one.ariaPressed = String(one.dataset.tool === now.tool);
  });
  store.watch(["undoable", "redoable", "unsent"], (now) => {
    undo.disabled = now.undoable + now.unsent === 0;
    redo.disabled = now.redoable === 0;
  });
}

/** @param {string} path */
function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 20 20");
  picture.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}
