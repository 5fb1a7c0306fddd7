/**
 * Tells the server that a pointer is down while a matte is being made, so that the run pauses between its tiles.
 *
 * It is told again each second, for the server believes it for two seconds only.
 */
const AGAIN = 1000; // milliseconds

export class Held {
  /** @param {{tell: (down: boolean) => void, running: () => boolean}} options running: whether a matte is being made */
  constructor({ tell, running }) {
    this._tell = tell;
    this._running = running;
    this._told = false;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._timer = undefined;
  }

  /** A pointer is down. */
  press() {
    clearInterval(this._timer);
    this._timer = setInterval(() => this._beat(), AGAIN);
    this._beat();
  }

  /** It is up again, or lost. */
  release() {
    clearInterval(this._timer);
    if (this._told) this._tell(false);
    this._told = false;
  }

  _beat() {
    if (!this._running()) return;
    this._told = true;
    this._tell(true);
  }
}
