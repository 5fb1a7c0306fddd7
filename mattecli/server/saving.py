"""Saves outputs, and says how to make them again."""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.jobs import way_out
from mattecli.errors import InputError, MatteError, UsageError
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.write import check_output, write_image
from mattecli.inference.options import RunOptions
from mattecli.server.batches import Batch
from mattecli.server.finish import PRODUCTS, Finish, Product, command_line
from mattecli.server.mattes import Found
from mattecli.server.photo import Photo, painted
from mattecli.server.refusals import StaleError
from mattecli.server.runs import Runs, Tell
from mattecli.server.sessions import Sessions
from mattecli.server.state import digest_of
from mattecli.system.files import as_text
from mattecli.trimaps.check import shares
from mattecli.work.job import Inputs, Matte, check_outputs, write_outputs
from mattecli.work.outcome import Job


@dataclass(frozen=True)
class _Begun:
    """A save that has begun: its word, that of its photo, and what is to be written where.

    `held` keeps the photo open until the save has ended.
    """

    name: str
    word: str
    files: dict[Product, Path]
    finish: Finish
    batch: Batch | None
    overwrite: bool
    held: ExitStack


class Saving:
    """Writes the outputs of photos beside them, or into the folder `out`, as `matte predict` does.

    `tell` is as `Events.send`; `run` and `reading` are the options that the command line is to repeat. With `batch` the
    alpha is not written there: saving it approves it for the batch.
    """

    def __init__(
        self,
        sessions: Sessions,
        runs: Runs,
        tell: Tell,
        *,
        out: Path | None = None,
        run: RunOptions | None = None,
        reading: ReadOptions | None = None,
        batch: Batch | None = None,
    ) -> None:
        self._sessions, self._runs, self._tell, self._out = sessions, runs, tell, out
        self._run, self._reading, self._batch = run or RunOptions(), reading or ReadOptions(), batch
        self._lock = threading.Lock()
        self._going: dict[str, str] = {}  # by photo: its newest save, while it goes on
        self._ended: dict[str, dict[str, Any]] = {}  # by photo: how its last save ended
        self._writing = threading.Lock()  # one save at a time looks at files and writes them
        self._threads: list[threading.Thread] = []
        self._given_up = False

    def save(
        self, word: str, products: Sequence[Product], finish: Finish, *, overwrite: bool = False
    ) -> tuple[str, int | None]:
        """Save products of a photo, and give the word of this save and the run that it waits for, if it does.

        The events `saved` or `failed` tell of its end.

        What can be refused is refused at once. Mattes are those of the labels as they are now: where there is no such
        exact matte, it is made first. Raises `InputError` for a file that exists and was not saved from here, and for a
        photo that changed on the disk.
        """
        wanted = [product for product in PRODUCTS if product in products]
        if not wanted:
            raise UsageError("nothing is to be saved; choose trimap, alpha, cut-out or composite")
        with ExitStack() as stack:
            photo = stack.enter_context(self._sessions.using(word))
            self._check_unchanged(photo, word, overwrite=overwrite)
            batch = self._batch if "alpha" in wanted else None
            files = {product: self._file(photo, product) for product in wanted if batch is None or product != "alpha"}
            check_replaceable(photo, files.values(), overwrite=overwrite)
            _check(photo, files, finish)
            mattes = len(wanted) > ("trimap" in wanted)
            deep = finish.deep(wanted)
            if batch is not None:
                batch.check(photo.path)
                deep = batch.deep(photo.path)
            current = self._current(photo, deep=deep, given=not files)
            name = secrets.token_urlsafe(9)
            begun = _Begun(name, word, files, finish, batch, overwrite, stack.pop_all())

        def begin(found: Found | str | None) -> None:
            thread = threading.Thread(target=self._carry_out, args=(begun, found), name="save", daemon=True)
            with self._lock:
                self._threads = [other for other in self._threads if other.is_alive()] + [thread]
                thread.start()

        with self._lock:
            self._going[word] = name  # before it begins, for it may end at once
        try:
            if mattes and current is None:
                return name, self._runs.matte(word, "exact", deep=deep, then=begin)
            begin(current if mattes else None)
        except BaseException:
            self._over(begun)
            begun.held.close()
            raise
        return name, None

    def close(self) -> None:
        """Wait until the saves that write have ended, or until `give_up` is called."""
        for thread in list(self._threads):
            while thread.is_alive() and not self._given_up:
                thread.join(0.1)

    def give_up(self) -> None:
        """Have `close` wait no more. May be called by a signal, so it takes no lock."""
        self._given_up = True

    def going(self, word: str) -> dict[str, Any]:
        """The save that goes on for a photo, for a page that opens it, or the event of how the last one ended."""
        with self._lock:
            return {"saving": self._going.get(word), "ended": [self._ended[word]] if word in self._ended else []}

    def all_going(self) -> dict[str, Any]:
        """The saves of all photos that go on, and how the last one of each photo ended."""
        with self._lock:
            return {"going": list(self._going.values()), "ended": list(self._ended.values())}

    def download(self, word: str, product: Product, finish: Finish) -> tuple[str, bytes]:
        """A product's file: its name and content. Raises `StaleError` where there is no exact matte of these labels."""
        with self._sessions.using(word) as photo, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self._file(photo, product).name
            _check(photo, {product: path}, finish)
            found = None
            if product != "trimap":
                found = self._current(photo, deep=finish.deep([product]))
                if found is None:
                    raise StaleError("there is no such exact matte of what is painted; make it first")
            _write(photo, {product: path}, finish, found, _trimap_of(photo, found)[0])
            return as_text(path.name), path.read_bytes()

    def command(self, word: str, products: Sequence[Product], finish: Finish) -> str:
        """The command line that makes the same files of the saved trimap."""
        with self._sessions.using(word) as photo:
            deep = finish.deep(products)
            exact = self._current(photo, deep=deep)
            finish.over()
            finish.output_options()
            precision = self._runs.precision(photo, deep=deep)
            run = dataclasses.replace(self._run, precision="fp32" if precision == "auto" else precision)
            if exact is not None:  # what `auto` chose here
                run = dataclasses.replace(run, precision=exact.precision or run.precision, tile=exact.tile or run.tile)
            return command_line(
                photo.path,
                self._file(photo, "trimap"),
                products,
                finish,
                out=self._out,
                run=run,
                reading=self._reading,
            )

    def _current(self, photo: Photo, *, deep: bool, given: bool = False) -> Found | None:
        """The exact matte of what is painted; with `given` it need not be made here.

        With `deep` it is not one that was made for 8 bits alone.
        """
        found = photo.mattes.exact
        if found is None or found.sequence != photo.painting.read(painted) or (found.given and not given):
            return None
        if found.given:
            return found
        shallow = found.precision == "bf16" and self._runs.precision(photo, deep=deep) != "bf16"
        return None if shallow else found

    def _file(self, photo: Photo, product: Product) -> Path:
        """The file of a product, by the command line's rules."""
        path = photo.path.absolute()
        return (path.parent if self._out is None else self._out.absolute()) / f"{path.stem}_{product}.png"

    def _check_unchanged(self, photo: Photo, word: str, *, overwrite: bool) -> None:
        if photo.missing:
            raise InputError(f"{photo.path.name} was moved or deleted; put it back, and save again")
        if photo.changed():
            self._tell("changed", word, file="photo")
            raise InputError(f"{photo.path.name} changed on the disk since it was opened; reload the page")

        file = self._sessions.start_changed(photo)
        if file is not None and not overwrite:
            self._tell("changed", word, file="trimap")
            raise InputError(f"{file.name} changed on the disk since it was laid under the paint; reload the page")

    def _carry_out(self, begun: _Begun, found: Found | str | None) -> None:
        """Write what is to be saved, and tell how it ended."""
        try:
            with begun.held:
                if isinstance(found, str):
                    raise InputError(f"nothing was saved, because the matte is not made: {found}")
                kind, facts = "saved", self._saved(begun, found)
        except MatteError as error:
            kind, facts = "failed", {"error": as_text(str(error))}
        except MemoryError:
            kind, facts = "failed", {"error": "saving needs more memory than there is; close other programs"}
        except Exception as error:
            sentence = f"saving met a bug in matte: {type(error).__name__}: {error}; please report it"
            kind, facts = "failed", {"error": as_text(sentence)}
        self._over(begun, {"type": kind, "photo": begun.word, "save": begun.name, **facts})
        self._tell(kind, begun.word, save=begun.name, **facts)

    def _over(self, begun: _Begun, ended: dict[str, Any] | None = None) -> None:
        """A save goes on no more. Its end, if it has one, is kept for a page that does not hear of it."""
        with self._lock:
            if self._going.get(begun.word) == begun.name:
                del self._going[begun.word]
            if ended is not None:
                self._ended[begun.word] = ended

    def _saved(self, begun: _Begun, found: Found | None) -> dict[str, Any]:
        """Write what is to be saved, and give what the page is told of it."""
        with self._writing:
            approved, sequence = self._write(begun, found)
        told = [{"product": product, "name": as_text(path.name)} for product, path in begun.files.items()]
        told += [{"product": "alpha", "name": as_text(path.name)} for path in approved]
        return {
            "files": told,
            "sequence": sequence,
            "progress": self._sessions.progress(begun.word),
            "approved": begun.batch is not None,
        }

    def _write(self, begun: _Begun, found: Found | None) -> tuple[list[Path], int]:
        """Write the files, and approve the matte for a batch.

        Gives the files that the approval wrote, and the last operation that is saved.
        """
        files, batch = begun.files, begun.batch
        with self._sessions.using(begun.word) as photo:
            trimap, saved = _trimap_of(photo, found)
            # Again: the matte may have taken minutes.
            self._check_unchanged(photo, begun.word, overwrite=begun.overwrite)
            check_replaceable(photo, files.values(), overwrite=begun.overwrite)
            before = _files(files.values())
            try:
                _write(photo, files, begun.finish, found, trimap)
            except BaseException:
                with suppress(MatteError, OSError):  # why it failed is what the page is told
                    self._note_files(photo, _files(files.values()) - before)
                raise
            self._note_files(photo, _files(files.values()))
            approved = [] if batch is None or found is None else batch.approve(photo, found, trimap)
            more = {} if batch is None else {"approved": saved}
            photo.painting.read(lambda labels: photo.state.note(saved=saved, painted=painted(labels), **more))
            return approved, saved

    def _note_files(self, photo: Photo, files: Collection[tuple[Path, int, int]]) -> None:
        """Note down that files were saved from here. Raises InputError for one that cannot be read."""
        new = {str(path): digest_of(path) for path, *_ in files}
        photo.state.note(files={**photo.state.facts.get("files", {}), **new})
        self._sessions.start_written(photo, [path for path, *_ in files])


def _trimap_of(photo: Photo, found: Found | None) -> tuple[NDArray[np.uint8], int]:
    """The trimap that a matte was made from, and its last operation; without a matte those of now."""
    if found is not None and found.trimap is not None:
        return found.trimap, found.sequence
    now = photo.snapshot()
    return now.trimap, now.sequence if found is None else found.sequence


def _files(paths: Iterable[Path]) -> set[tuple[Path, int, int]]:
    """The files that exist. One that was written anew differs from the one before, also where it has the same bytes."""
    found = ((path, path.stat()) for path in paths if path.is_file())
    return {(path, file.st_ino, file.st_mtime_ns) for path, file in found}


def check_replaceable(photo: Photo, files: Any, *, overwrite: bool) -> None:
    """Raise `InputError` for a file that exists and was not saved from here as it is now."""
    known = photo.state.facts.get("files", {})
    for path in files:
        if path.exists() and not overwrite and (not path.is_file() or known.get(str(path)) != digest_of(path)):
            raise InputError(
                f"{path.name} exists already and was not saved from here; move it, or tick 'Replace files of that name'"
            )


def _job(photo: Photo, files: dict[Product, Path], finish: Finish) -> Job:
    outputs: dict[str, str] = {product: str(path) for product, path in files.items() if product != "trimap"}
    background = finish.background if "composite" in outputs else None
    return Job(photo.path.name, str(photo.path), str(photo.path), outputs, background)


def _check(photo: Photo, files: dict[Product, Path], finish: Finish) -> None:
    """Raise, before anything is made, for files that cannot be written and for options that cannot be meant."""
    finish.over()
    for path in files.values():
        if (how := way_out(path, path.parent)) is not None:
            raise InputError(f"{path.name} {how}; remove the link, or save into another folder")
    if "trimap" in files:
        check_output(files["trimap"], overwrite=True, bits=8, inputs=[photo.path])
    job, options = _job(photo, files, finish), finish.output_options()
    check_outputs(job, options, overwrite=True)
    options.check_photo(photo.image, job.outputs)


def _write(
    photo: Photo, files: dict[Product, Path], finish: Finish, found: Found | None, trimap: NDArray[np.uint8]
) -> None:
    """Make and write the products, by the same code as `matte predict`."""
    if "trimap" in files:
        written = Image(trimap, resolution=photo.image.resolution, metadata=photo.image.metadata.geometry)
        write_image(files["trimap"], written, overwrite=True)
    if found is None or not set(files) - {"trimap"}:
        return
    inputs = Inputs(photo.image, None, trimap, shares(trimap)["unknown"], 0.0)
    job = _job(photo, files, finish)
    write_outputs(
        job,
        Matte(inputs, found.alpha, found.tile, 0.0, draft=found.draft),
        finish.output_options(),
        backgrounds={"composite": finish.over()} if "composite" in files else {},
        replaces=dict.fromkeys(job.outputs, True),
    )
