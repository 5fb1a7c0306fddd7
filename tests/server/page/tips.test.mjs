import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { EDGES } from "../../../mattecli/server/static/panels/finish.js";
import { TIPS } from "../../../mattecli/server/static/panels/tips.js";

const panels = new URL("../../../mattecli/server/static/panels/", import.meta.url);
const sources = readdirSync(panels).map((name) => readFileSync(new URL(name, panels), "utf8"));

test("each slider has a tooltip of one sentence", () => {
  const written = sources.flatMap((text) => [...text.matchAll(/\bname: "(\w+)", min/g)].map(([, name]) => name));
  const names = [...written, ...EDGES.map(([, name]) => name)];
  assert.ok(names.length > 12, `${names}`);
  for (const name of names) assert.match(TIPS[name] ?? "", /^[A-Z][^.]+\.$/, name);
});

test("no tooltip is of a control that is not there", () => {
  const text = sources.join("");
  for (const name of Object.keys(TIPS)) assert.ok(text.split(`"${name}`).length > 1, name);
});
