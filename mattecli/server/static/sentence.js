/**
 * A sentence of the server, with a capital and a full stop. The name of a file at its beginning stays as it is.
 * @param {string} words
 */
export function sentence(words) {
  const [first] = words.split(" ", 1);
  const begin = /[./\\_\d`]/.test(first) ? words.charAt(0) : words.charAt(0).toUpperCase();
  return `${begin}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}
