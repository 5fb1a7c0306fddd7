"""One change of the labels: its tiles before and after."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mattecli.server.tiles import Index

_HEADER = struct.Struct("<I")  # the length of the JSON that follows


class Band(NamedTuple):
    """The unknown band around the base's edge, in pixels: inside and outside, and how far distances are known."""

    inside: int = 0
    outside: int = 0
    reach: int = 0


class Change(NamedTuple):
    """A tile of a layer before and after an operation, as `pack` gives them."""

    layer: str
    place: Index
    before: bytes
    after: bytes


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What an operation does to the labels, so that nothing has to be computed to do it again or to take it back.

    `sequence` is its number, one more than that of the operation before it. `kind` is `stroke`, `polygon`, `fill`,
    `base`, `band`, `undo`, `redo` or `refused`. `bands` is the band before and after, where it changes. `after` is the
    number of the operation that it followed from, with which it is taken back and done again; 0 for none. `refused`
    says why nothing was done.
    """

    sequence: int
    kind: str
    changes: tuple[Change, ...] = ()
    bands: tuple[Band, Band] | None = None
    after: int = 0
    refused: str = ""

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return 500 + sum(200 + len(change.before) + len(change.after) for change in self.changes)

    def with_follower(self, other: Operation) -> Operation:
        """This operation and one that followed from it, as one. They change different things."""
        return replace(self, changes=self.changes + other.changes, bands=other.bands or self.bands)

    def is_apart(self, other: Operation) -> bool:
        """Whether two operations change different things, so that their order does not matter."""
        layers = [{change.layer for change in one.changes} for one in (self, other)]
        return layers[0].isdisjoint(layers[1]) and not (self.bands and other.bands)

    def again(self, sequence: int) -> Operation:
        """The redo of this operation."""
        return replace(self, sequence=sequence, kind="redo")

    def taken_back(self, sequence: int) -> Operation:
        """The undo of this operation."""
        changes = tuple(change._replace(before=change.after, after=change.before) for change in self.changes)
        bands = (self.bands[1], self.bands[0]) if self.bands else None
        return replace(self, sequence=sequence, kind="undo", changes=changes, bands=bands)

    def to_bytes(self) -> bytes:
        """The operation as bytes, for `from_bytes`. The keys are stored in users' journals and keep their names."""
        facts: dict[str, Any] = {"sequence": self.sequence, "kind": self.kind}
        if self.changes:
            facts["tiles"] = [[c.layer, *c.place, len(c.before), len(c.after)] for c in self.changes]
        if self.bands:
            facts["bands"] = self.bands
        if self.after:
            facts["after"] = self.after
        if self.refused:
            facts["refused"] = self.refused
        header = json.dumps(facts, separators=(",", ":")).encode()
        tiles = (part for change in self.changes for part in (change.before, change.after))
        return b"".join([_HEADER.pack(len(header)), header, *tiles])

    @classmethod
    def from_bytes(cls, data: bytes) -> Operation:
        """The operation that `to_bytes` wrote."""
        place = _HEADER.size + _HEADER.unpack_from(data)[0]
        facts = json.loads(data[_HEADER.size : place])
        changes = []
        for layer, row, column, before, after in facts.get("tiles", ()):
            middle, end = place + before, place + before + after
            changes.append(Change(layer, Index(row, column), data[place:middle], data[middle:end]))
            place = end
        bands = facts.get("bands")
        return cls(
            sequence=facts["sequence"],
            kind=facts["kind"],
            changes=tuple(changes),
            bands=(Band(*bands[0]), Band(*bands[1])) if bands else None,
            after=facts.get("after", 0),
            refused=facts.get("refused", ""),
        )
