"""The alphas that a batch need not find again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mattecli.batch.approved import APPROVED, Approvals, place
from mattecli.batch.journal import Approval, Journal
from mattecli.batch.kept import KeptAlpha, KeptAlphas
from mattecli.batch.recipe import (
    FP32_WORDS,
    alpha_recipe,
    approved_words,
    given_words,
    network_words,
    reading_words,
)
from mattecli.errors import InputError
from mattecli.imaging.read import read_image
from mattecli.system.files import content_digest, stat_of
from mattecli.weights import Checkpoint
from mattecli.work.job import Inputs, Matte
from mattecli.work.outcome import Job

if TYPE_CHECKING:
    from mattecli.batch.worker import BatchOptions


class Alphas:
    """Alphas that were kept or approved in the output folder, and the words of recipes for those that will do.

    Without a checkpoint all alphas are given.
    """

    def __init__(self, options: BatchOptions, checkpoint: Checkpoint | None, journal: Journal) -> None:
        self._options, self._checkpoint, self._journal = options, checkpoint, journal
        self.kept = KeptAlphas(options.out)
        self._approvals = Approvals(options.out, journal)

    # Recipes

    def words(self, job: Job) -> list[list[Any]]:
        """The words of the alphas that will do for a job: the approved one alone, or those of the network."""
        approval = self.approval(job)
        return self._network_words(job) if approval is None else [approved_words(approval.file or "")]

    def _network_words(self, job: Job) -> list[list[Any]]:
        """The words of the network's alphas that will do, those of this run first: see `_precisions`."""
        if job.finished or self._checkpoint is None:
            return [given_words(job)]
        run, sha256 = self._options.run, self._checkpoint.sha256
        return [network_words(sha256, run, precision=word) for word in self._precisions()]

    def _precisions(self) -> list[str]:
        """The words of precisions that will do. Both "auto" and "fp32" are stored for fp32, if asked for or not.

        Fp32 does where the precision was left to us, too; bf16 and fp16 that were asked for do not take it.
        """
        own = self._options.run.precision
        takes_fp32 = own in FP32_WORDS or self._options.settled
        return [own, *(word for word in FP32_WORDS if takes_fp32 and word != own)]

    def reading_words(self) -> list[Any]:
        """The words of how files are read."""
        return reading_words(self._options.reading, exposure=self._options.run.network_exposure)

    # Where they are

    def key(self, job: Job) -> str:
        """A digest of what makes a job's alpha: network, options of reading, trimap and input files.

        How outputs are made of the alpha is left out. The places of the files, seen from the output folder, tell apart
        files of the same size and time. Raises InputError for a file that cannot be read.
        """
        return self._keys_of(job)[0]

    def keys(self, jobs: Iterable[Job]) -> tuple[set[str], list[str]]:
        """The keys of these jobs' alphas, and the names of jobs whose photo or trimap cannot be read.

        Raises InputError for a model's file that cannot be read, without which no key is known.
        """
        keys, unreadable = set[str](), list[str]()
        for job in jobs:
            if job.making is not None:
                job.making.words()  # raises for the model, which concerns all jobs and not this one
            try:
                keys.update(self._keys_of(job))
            except InputError:
                unreadable.append(job.name)
        return keys, unreadable

    def _keys_of(self, job: Job) -> list[str]:
        """The keys of the network's alphas that will do for a job, its own first."""
        places = [place(path, self._options.out) for path in job.sources]
        states = [file_state(path, content=self._options.content) for path in job.sources]
        reading, files = self.reading_words(), [places, states]
        return [alpha_recipe(job, alpha=words, reading=reading, files=files) for words in self._network_words(job)]

    def approval(self, job: Job) -> Approval | None:
        """The approval of the job's alpha, which `redo` overrules."""
        return None if self._options.redo or job.finished else self._approvals.of(job.image, _partner(job))

    def kept_key(self, job: Job) -> str | None:
        """The key of an alpha that was kept and will do; None where there is none."""
        if job.finished or not self.kept.folder.is_dir():
            return None
        return next((key for key in self._keys_of(job) if self.kept.has(key)), None)

    def has(self, job: Job) -> bool:
        """Whether the job's alpha was kept or approved, and will be taken."""
        return self.approval(job) is not None or (not self._options.redo and self.kept_key(job) is not None)

    def lacks(self, job: Job) -> bool:
        """Whether alphas are to be kept and that of a job, which is done, is not there."""
        with suppress(InputError):  # a file is gone that was there a moment ago
            return self._options.keep_alpha and not job.finished and not self.has(job)
        return False

    def load(self, job: Job, *, size: tuple[int, int]) -> Matte | None:
        """The photo with its alpha that was approved or kept; None where there is none, or a damaged one was kept."""
        started = time.perf_counter()
        approved = self.approval(job) is not None
        found = self._approvals.load(job.image, _partner(job), size=size) if approved else self._load_kept(job, size)
        if found is None:
            return None
        photo = read_image(job.image, options=self._options.reading)
        seconds = time.perf_counter() - started
        facts = found.facts
        inputs = Inputs(photo, None, found.trimap, facts["unknown"], seconds, tuple(facts["notes"]))
        network = {**facts["network"], APPROVED: True} if approved else facts["network"]
        return Matte(
            inputs,
            found.alpha,
            facts["tile"],
            seconds,
            network,
            facts.get("attention"),
            facts.get("coarse_to_fine", False),
        )

    def _load_kept(self, job: Job, size: tuple[int, int]) -> KeptAlpha | None:
        key = None if self._options.redo else self.kept_key(job)
        return None if key is None else self.kept.load(key, size=size)

    # Changes

    def keep(self, key: str, matte: Matte) -> None:
        """Keep an alpha that was found here, under the key that its job had when it was begun."""
        inputs = matte.inputs
        facts = {
            "network": self._journal.common,
            "tile": matte.tile,
            "unknown": inputs.unknown,
            "notes": list(inputs.notes),
            "attention": matte.attention,
            "coarse_to_fine": matte.draft,
        }
        self.kept.save(key, matte.alpha, inputs.required_trimap, facts=facts)

    def withdraw(self, job: Job) -> None:
        """Withdraw the approval of a job's alpha, which was found anew."""
        self._approvals.withdraw(job.image, _partner(job))


def file_state(path: str, *, content: bool) -> list[int] | str:
    """What would change if a file did: its SHA-256, or its size and its time of change in microseconds.

    Raises InputError where it cannot be read.
    """
    if content:
        return content_digest(path)
    stat = stat_of(path)
    return [stat.st_size, stat.st_mtime_ns // 1000]


def _partner(job: Job) -> str | None:
    """The trimap or mask of a job, if it has one."""
    return None if job.what is None else job.trimap
