import assert from "node:assert/strict";
import { test } from "node:test";

import { fillStrip } from "../../../mattecli/server/static/panels/strip.js";
import { Store, initialFields } from "../../../mattecli/server/static/state.js";
import { documentWith } from "./dom.mjs";

const told = () => new Promise((done) => setTimeout(done, 2));

/** An observer that sees all elements at once. */
class Observer {
  constructor(react) {
    this._react = react;
  }

  observe(target) {
    this._react([{ target, isIntersecting: true }]);
  }

  unobserve() {}
}

/** A strip of the photos a and b of which a is open, and a promise to give pictures for each address in turn. */
function strip(content) {
  globalThis.IntersectionObserver = Observer;
  const { known } = documentWith("strip", "picture");
  const loaded = [];
  const decoding = [];
  const create = document.createElement;
  document.createElement = (tag) => Object.assign(create(tag), tag === "img" && {
    naturalWidth: 1,
    decode() {
      loaded.push(this.src);
      return new Promise((done) => decoding.push(done));
    },
  });
  const photos = ["a", "b"].map((id) => ({ id, name: `${id}.jpg`, state: "untouched" }));
  const store = new Store({ ...initialFields(), session: { photos }, photo: { id: "a", content } });
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (react) => setTimeout(react, 0); // the strip waits for the first photo
  fillStrip(store, () => {});
  globalThis.setTimeout = setTimeout;
  const decode = async () => {
    await told();
    decoding.shift()?.();
    await told();
  };
  return { known, store, loaded, decode };
}

test("a photo that became another file gets another small picture, also while the old one is loaded", async () => {
  const { store, loaded, decode } = strip("1");
  await told();
  assert.deepEqual(loaded, ["/app/photos/a/thumbnail?content=1"]);
  store.set({ photo: { id: "a", content: "2" } });
  for (let i = 0; i < 4; i += 1) await decode();
  assert.deepEqual([...loaded].sort(), [1, 2].map((one) => `/app/photos/a/thumbnail?content=${one}`).concat("/app/photos/b/thumbnail"));
  store.set({ photo: { id: "b", content: "3" } });
  store.set({ photo: { id: "b", content: "3" }, painted: 4 });
  for (let i = 0; i < 4; i += 1) await decode();
  assert.deepEqual(loaded.slice(3), ["/app/photos/b/thumbnail?content=3"], "once for each file");
});
