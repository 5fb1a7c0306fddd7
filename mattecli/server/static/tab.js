/** The word of this tab, by which the server knows who paints. A reload keeps it; a tab that was duplicated gets another. */

const PATIENCE = 500; // milliseconds in which the page before a reload lets go of its word

/** @returns {Promise<string>} */
export async function tabWord() {
  const known = sessionStorage.getItem("tab");
  const word = known && (await held(known)) ? known : crypto.randomUUID();
  if (word !== known) await held(word);
  sessionStorage.setItem("tab", word);
  return word;
}

/**
 * Holds a word until the page is left. Says whether no other tab holds it.
 * @param {string} word
 * @returns {Promise<boolean>}
 */
function held(word) {
  return new Promise((done) => {
    if (!navigator.locks) return done(true); // browsers have them on pages of this machine
    const forEver = () => (done(true), new Promise(() => {}));
    navigator.locks.request(`tab/${word}`, { signal: AbortSignal.timeout(PATIENCE) }, forEver).catch(() => done(false));
  });
}
