/**
 * Loads the small pictures of the film strip: those in view, one at a time.
 *
 * Browsers open about six connections to a server. If all pictures were asked for at once, strokes would wait for them.
 */
const LATER = 1500; // milliseconds in which the first photo has the server for itself

export class Thumbnails {
  /** @param {HTMLElement} strip in which the pictures are seen */
  constructor(strip) {
    /** @type {Map<Element, string>} */
    this._addresses = new Map();
    /** @type {HTMLImageElement[]} those in view that are not loaded */
    this._waiting = [];
    this._loading = false;
    this._later = new Promise((done) => setTimeout(done, LATER));
    this._observer = new IntersectionObserver((entries) => this._seen(entries), { root: strip, rootMargin: "0px 300px" });
  }

  /**
   * A picture that is added again is loaded again.
   * @param {HTMLImageElement} picture
   * @param {string} address
   */
  add(picture, address) {
    this._addresses.set(picture, address);
    this._observer.observe(picture);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  _seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const picture = /** @type {HTMLImageElement} */ (target);
      this._waiting = this._waiting.filter((one) => one !== picture);
      if (isIntersecting && this._addresses.has(picture)) this._waiting.push(picture);
    }
    void this._load();
  }

  async _load() {
    if (this._loading) return;
    this._loading = true;
    await this._later;
    for (let picture = this._waiting.shift(); picture; picture = this._waiting.shift()) {
      picture.src = this._addresses.get(picture) ?? "";
      this._addresses.delete(picture);
      this._observer.unobserve(picture);
      await picture.decode().catch(() => {}); // a photo that cannot be read has none
      picture.dataset.there = String(picture.naturalWidth > 0);
    }
    this._loading = false;
  }
}
