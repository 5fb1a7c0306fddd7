/**
 * A sentence of the server, with a capital and a full stop.
 * @param {string} words
 */
export function sentence(words) {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}
