/** The photo's colours at points of the picture. */

/**
 * Reads the tiles of a level. Gives null outside of the picture, and where a tile is not there.
 * @param {import("./tiles.js").TileCache} cache
 * @param {[width: number, height: number][]} levels
 * @param {number} level
 * @returns {import("../paint/edge.js").Colours}
 */
export function coloursOf(cache, levels, level) {
  const [width, height] = levels[level];
  const side = 2 ** level;
  let [lastRow, lastColumn] = [-1, -1];
  /** @type {import("./tiles.js").Tile | undefined} */
  let tile; // neighbouring points are mostly of one tile
  return (x, y) => {
    const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
    if (row < 0 || column < 0 || row >= height || column >= width) return null;
    if (row >> 8 !== lastRow || column >> 8 !== lastColumn) {
      [lastRow, lastColumn] = [row >> 8, column >> 8];
      const place = { level, row: lastRow, column: lastColumn };
      tile = cache.fresh("photo", place) ? cache.get("photo", place) : undefined; // an old one has another exposure
    }
    if (!tile) return null;
    const at = 3 * ((row & 255) * tile.width + (column & 255));
    return tile.data.subarray(at, at + 3);
  };
}
