"""Alphas kept for later runs: whole, checked and pruned.

The folder `.matte/alphas/` in the output folder has a file for each alpha: an archive of NumPy (`.npz`) under a digest
of what the alpha was made of. It holds the trimap, the alpha's values in the unknown pixels as float32, and what
reports say of the run that found it. The trimap says what the other values are. The archive's checksums tell a damaged
file, which counts as missing.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.journal import FOLDER
from mattecli.errors import InputError
from mattecli.system.files import remedy_of, sweep, whole_file
from mattecli.trimaps.check import unknown

ALPHAS = "alphas"  # the folder's name, in the journal's folder
BYTES = 4  # in a value


@dataclass(frozen=True, eq=False)
class KeptAlpha:
    """An alpha, float32 (H, W), its trimap, uint8 (H, W) of 0, 128 and 255, and the facts that were kept with it."""

    alpha: NDArray[np.float32]
    trimap: NDArray[np.uint8]
    facts: Mapping[str, Any]


class KeptAlphas:
    """The alphas that are kept in an output folder; safe to use from threads and from several processes."""

    def __init__(self, out: Path, *, name: str = ALPHAS) -> None:
        self.folder = out / FOLDER / name

    def has(self, key: str) -> bool:
        """Whether there is a file for this key. It may be damaged."""
        return self._path(key).is_file()

    def load(self, key: str, *, size: tuple[int, int]) -> KeptAlpha | None:
        """The alpha of a photo of this (width, height); None where it is missing, damaged or of another size."""
        try:
            with self._path(key).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                trimap, planes, facts = archive["trimap"], archive["values"], archive["facts"].tobytes()
            if trimap.shape != size[::-1] or trimap.dtype != np.uint8:
                return None
            alpha = np.where(trimap == 255, np.float32(1), np.float32(0))
            alpha[unknown(trimap)] = np.ascontiguousarray(planes.T).view("<f4")[:, 0]
            return KeptAlpha(alpha, trimap, json.loads(facts))
        except (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile):
            return None

    def save(
        self, key: str, alpha: NDArray[np.float32], trimap: NDArray[np.uint8], *, facts: Mapping[str, Any]
    ) -> None:
        """Keep an alpha, whole or not at all. Raises InputError where it cannot be written.

        Raises ValueError for an alpha that is not 0 and 1 where the trimap is 0 and 255.
        """
        open_ = unknown(trimap)
        if not np.array_equal(alpha[~open_], trimap[~open_] / np.float32(255)):
            raise ValueError("the alpha differs from the trimap in pixels that are known")
        # The bytes of the values in planes, exponents beside exponents, are a fifth smaller when they are packed.
        planes = np.ascontiguousarray(alpha[open_].astype("<f4").view(np.uint8).reshape(-1, BYTES).T)
        text = np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)
        path = self._path(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as handle:
                np.savez_compressed(handle, trimap=trimap, values=planes, facts=text)
        except OSError as error:
            reason = f"{path} cannot be written ({error.strerror})"
            raise InputError(f"{reason}; {remedy_of(error)}, or run without keeping alphas") from error

    def remove(self, key: str) -> None:
        """Remove the alpha of a key, if there is one. Raises InputError."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            path = self._path(key)
            raise InputError(f"{path} cannot be removed ({error.strerror}); check its permissions") from error

    def prune(self, used: Collection[str]) -> tuple[int, int]:
        """Remove the alphas of other keys; gives how many there were and their bytes. Raises InputError."""
        removed = freed = 0
        sweep(self.folder)
        for path, size in self._files():
            if path.stem not in used:
                self.remove(path.stem)
                removed, freed = removed + 1, freed + size
        return removed, freed

    def stored(self) -> tuple[int, int]:
        """How many alphas are kept, and their bytes."""
        sizes = [size for _, size in self._files()]
        return len(sizes), sum(sizes)

    def _files(self) -> list[tuple[Path, int]]:
        found = []
        for path in sorted(self.folder.glob("*.npz")):
            with suppress(FileNotFoundError):  # another process removes some, too
                found.append((path, path.stat().st_size))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def bytes_at_most(trimap: NDArray[np.uint8]) -> int:
    """How large the file of an alpha with this trimap can become."""
    values = int(np.count_nonzero(unknown(trimap))) * BYTES
    return values + len(zlib.compress(trimap.tobytes(), 1)) + 4096  # facts, and the archive's own
