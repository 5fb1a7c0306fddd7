"""Carries out operations of the page on the labels."""

from __future__ import annotations

from mattecli.server.bodies import MOST_TILES, Operated, Visible
from mattecli.server.labels import Labels
from mattecli.server.packs import PackedTile, pack
from mattecli.server.photo import Photo, numbers
from mattecli.server.tiles import Index


def operate(photo: Photo, body: Operated, *, tab: str | None = None) -> bytes:
    """Carry out an operation, and give the answer with the visible tiles that it changed.

    Raises what `Painting.do` raises, of which `tab` is the author.
    """
    answer = photo.painting.do(body.sequence, lambda labels: body.operation(labels, photo), by=tab)

    def gathered(labels: Labels) -> bytes:
        changed = list(answer.tiles)
        facts = {**numbers(labels), "sequence": answer.sequence, "refused": answer.refused}
        tiles = _tiles(photo, changed, body.visible)
        return pack(tiles, **facts, changed=[list(index) for index in changed])

    return photo.painting.read(gathered)


def _tiles(photo: Photo, changed: list[Index], visible: Visible | None) -> list[PackedTile]:
    """The visible tiles of labels over changed tiles of level 0."""
    if visible is None or visible.level >= len(photo.grids):
        return []
    above = {Index(row >> visible.level, column >> visible.level) for row, column in changed}
    wanted = sorted(filter(visible.holds, above))[:MOST_TILES]
    tiles = []
    for index in wanted:
        pixels, revision = photo.label_tile(visible.level, index)
        tiles.append(PackedTile("labels", visible.level, index, revision, pixels))
    return tiles
