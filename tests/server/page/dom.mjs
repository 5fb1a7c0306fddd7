/** As much of a document as the panels need, for tests without a browser. */

class Part {
  constructor(tag) {
    Object.assign(this, { tagName: tag.toUpperCase(), children: [], dataset: {}, style: {}, attributes: {}, hidden: false, disabled: false });
    this.parentElement = null;
    this.classList = { add: () => {} };
    this.value = "";
    this._text = "";
    this._listeners = new Map();
  }

  append(...parts) {
    for (const part of parts) {
      const child = part instanceof Part ? part : Object.assign(new Part("#text"), { _text: String(part) });
      child.parentElement = this;
      this.children.push(child);
    }
  }

  replaceChildren(...parts) {
    this.children = [];
    this.append(...parts);
  }

  insertBefore(part, before) {
    part.parentElement = this;
    this.children.splice(this.children.indexOf(before), 0, part);
  }

  get childElementCount() {
    return this.children.length;
  }

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  get lastChild() {
    return this.children.at(-1) ?? null;
  }

  get textContent() {
    return this._text + this.children.map((child) => child.textContent).join("");
  }

  set textContent(text) {
    this.children = [];
    this._text = text;
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  addEventListener(kind, react) {
    this._listeners.set(kind, [...(this._listeners.get(kind) ?? []), react]);
  }

  /** Has the listeners of this element and those around it hear of an event. */
  send(kind, more = {}) {
    const event = { type: kind, target: this, preventDefault: () => {}, ...more };
    for (let at = this; at; at = at.parentElement) for (const react of at._listeners.get(kind) ?? []) react(event);
  }

  focus() {
    if (document.activeElement === this) return;
    document.activeElement?.blur?.();
    document.activeElement = this;
  }

  /** As in a browser, what was typed counts when the focus goes. */
  blur() {
    document.activeElement = null;
    if (this.typed !== undefined && this.typed !== this.value) {
      this.value = this.typed;
      this.send("change");
    }
    this.typed = undefined;
  }

  checkValidity() {
    return true;
  }

  querySelector() {
    return null;
  }

  querySelectorAll(selectors) {
    return this.all((one) => one.matches(selectors));
  }

  scrollIntoView() {}

  getContext() {
    return null;
  }

  /** Selectors of tags, of `[type=…]` and of `[role=…]` are known, one of them or several with commas. */
  matches(selectors) {
    return selectors.split(",").some((selector) => {
      const [, tag, name, value] = /^\s*([a-z]*)(?:\[(type|role)=(\w+)\])?/.exec(selector) ?? [];
      return (tag || name) && (!tag || tag.toUpperCase() === this.tagName) && (!name || value === this[name]);
    });
  }

  /** All elements within that satisfy a question. */
  all(asks) {
    return this.children.flatMap((child) => [...(asks(child) ? [child] : []), ...child.all(asks)]);
  }
}

/** A new document, with elements by their ids. */
export function documentWith(...ids) {
  const body = new Part("body");
  const known = Object.fromEntries(ids.map((id) => [id, Object.assign(new Part("div"), { id })]));
  body.append(...Object.values(known));
  globalThis.HTMLElement = Part;
  globalThis.document = {
    body, activeElement: body, documentElement: new Part("html"),
    createElement: (tag) => new Part(tag),
    createElementNS: (_, tag) => new Part(tag),
    getElementById: (id) => known[id] ?? null,
    querySelectorAll: (selector) => body.all((one) => selector === "[data-tip]" && one.dataset.tip !== undefined),
  };
  const listeners = new Part("window");
  globalThis.addEventListener = (kind, react) => listeners.addEventListener(kind, react);
  globalThis.dispatchEvent = () => true;
  globalThis.localStorage = { getItem: () => null, setItem: () => {} };
  body.parentElement = listeners; // what is heard there is heard on the window
  return { body, known, window: listeners };
}

/** A button or field by the words on it or around it. */
export function named(element, words) {
  return element.all((one) => ["BUTTON", "INPUT", "SELECT", "A"].includes(one.tagName)).find((one) => [one.textContent, one.attributes["aria-label"], one.parentElement?.textContent].includes(words));
}
