"""The bundled checkpoints: find them by name and verify them.

A clone or an editable install has them in `weights/` beside the package, a wheel inside the package. `SHA256SUMS` lists
the hash of each file. The model cards lie beside them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mattecli.errors import WeightsError
from mattecli.system.content import describe, is_lfs_pointer
from mattecli.system.files import same_file

DEFAULT = "a2u_shared"
# What to do with a file that is not a checkpoint, by a word of what it is; others are to be downloaded again.
_REMEDIES = {
    "Git LFS": "run `git lfs pull` in its clone",
    "other files": "download the checkpoint itself",
    "archive": "unpack it and name the checkpoint in it",
    "TorchScript": "name a file that holds only tensors",
}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file; `name` is the file's name without suffix, `expected` the SHA-256 of a bundled one."""

    path: Path
    expected: str | None = None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def exported(self) -> bool:
        """Whether `matte export-onnx` wrote it; ONNX Runtime runs such files."""
        return self.path.suffix.lower() == ".onnx"

    @property
    def card(self) -> Path | None:
        """The model card beside it, or None."""
        card = self.path.with_suffix(".md")
        return card if card.is_file() else None

    @cached_property
    def sha256(self) -> str:
        """The file's SHA-256 in hexadecimal."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(f"{self.path} cannot be read ({error.strerror}); check the path") from error

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise WeightsError(f"{self.path} cannot be read ({error.strerror}); install mattecli again") from error

    def verify(self) -> None:
        """Raise WeightsError when a bundled checkpoint is not the one that was published."""
        if self.expected is None or self.sha256 == self.expected:
            return
        if is_lfs_pointer(self.path):
            raise WeightsError(
                f"{self.path} is a Git LFS pointer, which stands for weights that were not fetched; run `git lfs pull` "
                "in the clone"
            )
        raise WeightsError(
            f"{self.path} has SHA-256 {self.sha256[:12]}… instead of {self.expected[:12]}…; install mattecli again"
        )


def folder() -> Path:
    """The folder of the bundled checkpoints; raises WeightsError when it is missing."""
    package = Path(__file__).parent
    for candidate in (package / "_weights", package.parent / "weights"):
        if (candidate / "SHA256SUMS").is_file():
            return candidate
    raise WeightsError(f"there are no weights beside {package}; install mattecli again, or name a file as `weights`")


def shipped() -> list[Checkpoint]:
    """The bundled checkpoints, sorted by name; raises WeightsError where their list is damaged or cannot be read."""
    path = folder() / "SHA256SUMS"
    try:
        sums = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); install mattecli again") from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} is damaged (not UTF-8); install mattecli again") from error
    if not sums or len(sums) % 2 or not all(re.fullmatch("[0-9a-f]{64}", expected) for expected in sums[::2]):
        raise WeightsError(f"{path} is damaged (not a list of SHA-256 and names); install mattecli again")
    pairs = zip(sums[::2], sums[1::2], strict=True)
    return sorted((Checkpoint(folder() / name, expected) for expected, name in pairs), key=lambda c: c.name)


def find_checkpoint(name: str | Path | None = None) -> Checkpoint:
    """The bundled checkpoint of that name, or the file at that path; the default checkpoint for None.

    Raises WeightsError when there is neither, for an empty name, or when a bundled file is damaged.
    """
    if name == "":
        raise WeightsError("the name of the weights is empty; name a file or a bundled checkpoint, or leave it out")
    wanted = str(DEFAULT if name is None else name)
    known, missing = _known()
    try:
        bundled = next((each for each in known if wanted == each.name or same_file(wanted, each.path)), None)
        is_file = Path(wanted).is_file()
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{wanted} cannot be read ({reason}); check the path") from error
    if bundled is not None:
        bundled.verify()
        return bundled
    if is_file:
        return Checkpoint(Path(wanted))
    if missing is not None:
        raise WeightsError(f"{wanted} is not a file, and {missing}") if name else missing
    names = ", ".join(checkpoint.name for checkpoint in known)
    raise WeightsError(f"{wanted} is neither a file nor a bundled checkpoint ({names}); check the path")


def _known() -> tuple[list[Checkpoint], WeightsError | None]:
    """The bundled checkpoints, or none and the error; a file of one's own needs none of them."""
    try:
        return shipped(), None
    except WeightsError as error:
        return [], error


def check_content(path: Path) -> None:
    """Raise WeightsError for a file that is something else, such as a web page, and for one that cannot be read."""
    try:
        what = describe(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if what is not None:
        remedy = next((remedy for word, remedy in _REMEDIES.items() if word in what), "download it again")
        raise WeightsError(f"{path} is not a checkpoint (it is {what}); {remedy}")
