/** What each slider and choice does, in a sentence: one table for all tooltips of controls without a key. */

/** @type {Record<string, string>} by the names that the page shows */
export const TIPS = {
  Inside: "Widens the unknown band from the edge into the subject.",
  Outside: "Widens the unknown band from the edge into the background.",
  Size: "The diameter of the brush, in pixels of the photo.",
  Strength: "How strongly the labels colour the photo.",
  Exposure: "Brightens or darkens the photo on the screen; the matte stays as it is.",
  Gamma: "Brightens or darkens the middle tones on the screen; the matte stays as it is.",
  Choke: "Moves the edge inwards, so that a rim of the old background disappears.",
  Spread: "Moves the edge outwards, so that the subject becomes larger.",
  Feather: "Softens the edge inwards.",
  Smooth: "Evens out a ragged contour, and leaves its softness alone.",
  Contrast: "Makes the edge harder: faint parts become clear, nearly solid parts become solid.",
  Hair: "How much of the hair and fur stays; 0 % removes it.",
  Specks: "Removes loose pieces that are smaller than this.",
  Holes: "Fills hazy dips in the subject that are smaller than this.",
  Despill: "Takes the colour of a green or blue screen off the edges and hair.",
};
