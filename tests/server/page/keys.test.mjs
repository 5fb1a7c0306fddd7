import assert from "node:assert/strict";
import { test } from "node:test";

import { BINDINGS, REPORT_BINDINGS, bindingOf, shown, tipOf } from "../../../mattecli/server/static/keys.js";

/** The press that a key of the table describes. */
function pressOf(key) {
  return {
    key: key.replace(/^(Ctrl\+|Alt\+|Shift\+)+/, "").replace(/^([A-Z])$/, (letter) => letter.toLowerCase()),
    ctrlKey: key.includes("Ctrl+"),
    altKey: key.includes("Alt+"),
    shiftKey: key.includes("Shift+") || "?+_".includes(key),
  };
}

test("each action has two keys, and no key has two actions", () => {
  for (const { action, keys } of BINDINGS) {
    assert.equal(keys.length, 2, action);
    for (const key of keys) assert.equal(bindingOf(pressOf(key))?.action, action, key);
  }
});

test("the keys of image editors do what they do there", () => {
  const known = [["[", "smaller"], ["]", "larger"], ["x", "swap"], ["e", "eraser"], [" ", "pan"], ["0", "fit"], ["1", "actual"]];
  for (const [key, action] of known) assert.equal(bindingOf({ key })?.action, action);
  assert.equal(bindingOf({ key: "z", ctrlKey: true })?.action, "undo");
  assert.equal(bindingOf({ key: "z", metaKey: true })?.action, "undo");
  assert.equal(bindingOf({ key: "Z", ctrlKey: true, shiftKey: true })?.action, "redo");
});

test("Shift makes another action of a letter, but not of a sign", () => {
  assert.equal(bindingOf({ key: "N", shiftKey: true })?.action, "previous");
  assert.equal(bindingOf({ key: "?", shiftKey: true })?.action, "help");
  assert.equal(bindingOf({ key: "?" })?.action, "help");
});

test("keys of the browser stay the browser's", () => {
  for (const key of ["r", "l", "t", "n", "w", "f"]) assert.equal(bindingOf({ key, ctrlKey: true }), null, key);
  assert.equal(bindingOf({ key: "Tab" }), null);
});

test("a tooltip says what it does and by which keys", () => {
  assert.equal(tipOf("fit"), "Show the whole picture (0 or Home)");
  assert.equal(shown(" "), "Space");
});

test("with a batch's report N and P go on, and what they did has other keys", () => {
  for (const { action, keys } of REPORT_BINDINGS) {
    assert.equal(keys.length, 2, action);
    for (const key of keys) assert.equal(bindingOf(pressOf(key), true)?.action, action, key);
  }
  const taken = new Set(REPORT_BINDINGS.flatMap(({ keys }) => keys));
  for (const { action, keys } of BINDINGS) {
    const left = keys.filter((key) => !taken.has(key) || bindingOf(pressOf(key), true)?.action === action);
    assert.ok(left.length > 0, action);
  }
  assert.equal(bindingOf({ key: "a" }), null);
});

test("keyboards of other alphabets have the keys of an English one at their places", () => {
  const russian = [["а", "KeyF", "foreground"], ["я", "KeyZ", null], ["х", "BracketLeft", "smaller"], ["ъ", "BracketRight", "larger"]];
  for (const [key, code, action] of russian) assert.equal(bindingOf({ key, code })?.action ?? null, action, key);
  assert.equal(bindingOf({ key: "я", code: "KeyZ", ctrlKey: true })?.action, "undo");
  assert.equal(bindingOf({ key: "Т", code: "KeyN", shiftKey: true })?.action, "previous");
  assert.equal(bindingOf({ key: "١", code: "Digit1" })?.action, "actual");
  assert.equal(bindingOf({ key: "ß", code: "Minus" }), null, "Latin letters are what they are");
  assert.equal(bindingOf({ key: "a", code: "KeyQ" }), null, "as on a French keyboard");
});

test("with a batch's report tooltips name no key that does something else there", () => {
  assert.equal(tipOf("next", true), "Go to the next doubtful place at 1:1 (J)");
  assert.match(tipOf("brush", true), /\(D\)$/);
  assert.match(tipOf("brush"), /\(D or P\)$/);
  for (const { action } of BINDINGS) assert.match(tipOf(action, true), /\(.+\)$/, action);
});
