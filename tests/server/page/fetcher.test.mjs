import assert from "node:assert/strict";
import { test } from "node:test";

import { Refusal } from "../../../mattecli/server/static/paint/stroke.js";
import { Fetcher } from "../../../mattecli/server/static/view/fetcher.js";

const at = (layer, column) => ({ layer, level: 0, row: 0, column });
const settled = () => new Promise((done) => setTimeout(done, 5));

/** A fetcher whose server is a function. */
function fetcherWith(server) {
  const log = { asked: [], came: [], changes: 0, refused: [] };
  const fetcher = new Fetcher({
    fetch: async (wanted) => {
      log.asked.push(wanted);
      return server(wanted);
    },
    came: (tiles) => log.came.push(...tiles),
    changed: () => (log.changes += 1),
    refused: (text) => log.refused.push(text),
  });
  return { fetcher, log };
}

test("a tile that is on its way is not asked for again", async () => {
  const { fetcher, log } = fetcherWith(async (wanted) => (await settled(), wanted));
  fetcher.request([at("photo", 0)]);
  fetcher.request([at("photo", 0), at("photo", 1)]);
  await settled();
  await settled();
  assert.deepEqual(log.asked, [[at("photo", 0)], [at("photo", 1)]]);
  assert.equal(log.came.length, 2);
});

test("photo and labels come together, a matte by itself, and no more than two requests at once", async () => {
  const { fetcher, log } = fetcherWith(async (wanted) => (await settled(), wanted));
  const wanted = [at("alpha", 0), at("base", 0), at("photo", 0), at("labels", 0)];
  fetcher.request(wanted);
  assert.deepEqual(log.asked, [[at("photo", 0), at("labels", 0)], [at("alpha", 0)]]);
  await settled();
  await settled();
  fetcher.request([at("base", 0)]);
  assert.equal(log.asked.length, 3);
});

test("what the server does not have is asked for again only when it may be there", async () => {
  const { fetcher, log } = fetcherWith(async () => {
    throw new Refusal("there is no matte", 404);
  });
  fetcher.request([at("alpha", 0)]);
  await settled();
  fetcher.request([at("alpha", 0)]);
  assert.equal(log.asked.length, 1);
  fetcher.askAgain();
  fetcher.request([at("alpha", 0)]);
  assert.equal(log.asked.length, 2);
});

test("what the server refuses is said once, and asked for again only when it may be made", async () => {
  const { fetcher, log } = fetcherWith(async () => {
    throw new Refusal("choke and spread move the edge in opposite directions", 400);
  });
  const both = [at("finished", 0), at("colours", 0)];
  fetcher.request(both);
  await settled();
  fetcher.request(both);
  assert.equal(log.asked.length, 2);
  assert.deepEqual(log.refused, ["choke and spread move the edge in opposite directions"]);
  fetcher.askAgain();
  fetcher.request(both);
  await settled();
  assert.deepEqual([log.asked.length, log.refused.length], [4, 2]);
});

test("what an older matte lacks is asked for of the newer one that came meanwhile", async () => {
  for (const fails of [true, false]) {
    const { fetcher, log } = fetcherWith(async () => {
      await settled();
      if (fails) throw new Refusal("the matte of run 7 is not kept", 404);
      return [];
    });
    fetcher.request([at("colours", 0)]);
    fetcher.askAgain();
    await settled();
    await settled();
    fetcher.request([at("colours", 0)]);
    assert.equal(log.asked.length, 2);
  }
});
