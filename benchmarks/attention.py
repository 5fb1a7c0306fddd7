"""Fits the weights of the attention score, and judges it on other mattes.

    python benchmarks/attention.py measure SCENES    writes SCENES/signs.json
    python benchmarks/attention.py fit SCENES        writes mattecli/evaluation/attention.json
    python benchmarks/attention.py judge SCENES      prints markdown tables

SCENES is the folder that `attention_scenes.py` made. `measure` looks only at archives that signs.json lacks; delete it
after a change of the signs. `fit` uses the part `fit` and the kinds MORE of the part `judge`. `judge` uses the other
kinds of that part, and the part `products`.

A fit is a random search for the weight, free and full amount of each sign, and the stored numbers are the mean of some
searches on mattes that were drawn with replacement. A search wants the worst fifth of the mattes without a fault first,
by SAD and by error per pixel of contour, planted faults above three quarters of those, and clean products below 0.5. A
fault counts where it adds HARM to the error.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.attention import FITTED, HARD, SIGNS, Weight, fitted, signs
from mattecli.weights import find_checkpoint

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = Mapping[str, Weight]

VERSION = 3
MORE = ("net", "drawn-lace", "drawn-glass", "drawn-foliage", "drawn-shape", "drawn-twigs")
HARM = 0.0005  # mean error over the picture that a fault must add
FLAGGED = 0.5  # score from which a product would be looked at
BY_HAND = {"contradiction": Weight(0.9, 0.0, 0.01)}  # the network never contradicts its trimap; given alphas may
LEAST = 0.3  # weight: real leftovers have edges in the photo, and planted ones do not, so no sign may fall silent
SEARCHES, STEPS = 8, 2000
FAULTS = 0.4  # what planted faults count in a fit, beside the network's own errors
SOFTNESS = 0.03  # of the step at a limit, in scores: a search needs a slope


@dataclass(frozen=True)
class Case:
    """A matte: where it comes from, its fault or `clean`, the amounts of its signs, and how wrong it is.

    `sad` is the mean error over the picture, so that pictures of different sizes compare; `unknown` is the share of
    unknown pixels.
    """

    part: str
    number: int
    kind: str
    fault: str
    amounts: dict[str, float]
    unknown: float
    sad: float
    per_contour: float

    @property
    def for_fitting(self) -> bool:
        return self.part == "fit" or (self.part == "judge" and self.kind in MORE)

    @property
    def product(self) -> bool:
        return self.kind == "product"

    def shares(self, weights: Weights) -> dict[str, float]:
        """What each sign adds; a hard sign adds all."""
        return {name: 1.0 if name in HARD else weights[name].share(each) for name, each in self.amounts.items()}

    def score(self, weights: Weights) -> float:
        """As `attention` computes it."""
        return 1 - float(np.prod([1 - share for share in self.shares(weights).values()]))


def measured(path: Path) -> Case:
    stored = np.load(path)
    photo, trimap = stored["photo"], stored["trimap"]
    alpha, truth = stored["alpha"].astype(np.float32), stored["truth"].astype(np.float32) / 255
    number, kind, fault = path.stem.split("_")
    found = {name: reason.amount for name, reason in signs(photo, alpha, trimap).items()}
    wrong, solid = float(np.abs(alpha - truth).sum()), truth > 0.5
    contour = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    unknown = float((trimap == 128).mean())
    return Case(path.parent.name, int(number), kind, fault, found, unknown, wrong / alpha.size, wrong / max(1, contour))


def measure(scenes: Path) -> None:
    file = scenes / "signs.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for path in sorted(scenes.glob("*/*.npz")):
        name = f"{path.parent.name}/{path.stem}"
        if name in known:
            continue
        known[name] = asdict(measured(path))
        print(name, flush=True)
        if len(known) % 20 == 0:  # a run that is stopped goes on from here
            file.write_text(json.dumps(known), encoding="utf-8")
    file.write_text(json.dumps(known), encoding="utf-8")


def harmful(cases: Sequence[Case]) -> list[Case]:
    """The planted faults that add HARM to the error of the same scene without a fault."""
    clean = {(case.part, case.number): case.sad for case in cases if case.fault == "clean"}
    planted = [case for case in cases if case.fault != "clean" and (case.part, case.number) in clean]
    return [case for case in planted if case.sad - clean[case.part, case.number] >= HARM]


def worst_fifth(cases: Sequence[Case], error: str) -> Flags:
    values = np.array([getattr(case, error) for case in cases])
    return np.asarray(values >= np.quantile(values, 0.8))


def auc(scores: Values, bad: Flags) -> float:
    """The probability that a bad matte scores above a good one; ties count half."""
    differ = scores[bad][:, None] - scores[~bad][None]
    return float(((differ > 0) + 0.5 * (differ == 0)).mean())


def recall(scores: Values, bad: Flags, part: float = 0.2) -> float:
    """The share of the bad that is among the first `part` by score."""
    first = np.argsort(-scores, kind="stable")[: max(1, round(part * len(scores)))]
    return float(bad[first].sum() / bad.sum())


# --- fitting ----------------------------------------------------------------------------------------------------------


class Aim:
    """What a search makes large, for the amounts of mattes over photographs, planted faults and clean products."""

    def __init__(self, cases: Sequence[Case], faults: float) -> None:
        self.faults = faults  # what planted faults count beside the network's own errors, from 0 to 1
        soft = [case for case in cases if not set(case.amounts) & set(HARD)]  # a hard sign needs no fit
        over_photos = [case for case in soft if case.fault == "clean" and not case.product]
        planted = [case for case in harmful(soft) if not case.product]
        products = [case for case in soft if case.fault == "clean" and case.product]
        self.table = np.array([[case.amounts[name] for name in SIGNS] for case in [*over_photos, *planted, *products]])
        self.ends = len(over_photos), len(over_photos) + len(planted)
        self.worst = [worst_fifth(over_photos, error) for error in ("sad", "per_contour")]
        self.ranks = [
            ranks(np.array([getattr(case, error) for case in over_photos])) for error in ("sad", "per_contour")
        ]
        self.planted = np.arange(self.ends[1]) >= self.ends[0]

    def of(self, weight: Values, free: Values, full: Values) -> float:
        shares = np.clip((self.table - free) / (full - free), 0, 1)
        scores = 1 - (1 - weight * shares).prod(1)
        own, planted, products = np.split(scores, self.ends)
        own_ranks = ranks(own)
        natural = np.mean([auc(own, bad) for bad in self.worst] + [np.mean(own_ranks * other) for other in self.ranks])
        limit = np.quantile(own, 0.75)
        caught = (_step(planted - limit).mean() + auc(scores[: self.ends[1]], self.planted)) / 2
        alarms = _step(products - FLAGGED + 0.05).mean() if len(products) else 0.0
        both = (1 - self.faults) * natural + self.faults * caught
        return float(both - 0.3 * alarms - 0.002 * weight.sum())


def ranks(values: Values) -> Values:
    """The ranks of values, with mean 0 and deviation 1."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    return np.asarray((order - order.mean()) / order.std())


def _step(values: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-values / SOFTNESS)))


def search(cases: Sequence[Case], rng: np.random.Generator, *, faults: float) -> Values:
    """Weight, free and full amount of each sign, (3, signs)."""
    aim = Aim(cases, faults)
    seen = [column[column > 0] for column in aim.table.T]
    own = aim.table[: aim.ends[0]]
    lows = [np.unique([0.0, *np.quantile(column, np.linspace(0.1, 0.9, 9))]) for column in own.T]
    highs = [np.quantile(some, np.linspace(0.1, 1, 14)) if len(some) else np.array([0.01]) for some in seen]
    best = np.array([np.full(len(SIGNS), 0.5), np.zeros(len(SIGNS)), [high[-3:][0] for high in highs]])
    value = aim.of(*best)
    for _ in range(STEPS):
        tried = best.copy()
        for sign in rng.choice(len(SIGNS), 1 if rng.random() < 0.7 else 2, replace=False):
            row = rng.integers(3)
            if row == 0:
                tried[0, sign] = np.clip(tried[0, sign] + rng.normal(0, 0.2), LEAST, 0.95)
            else:
                tried[row, sign] = rng.choice((lows if row == 1 else highs)[sign])
        if (tried[2] > tried[1] + 1e-5).all() and (found := aim.of(*tried)) > value:
            best, value = tried, found
    return best


def fit(cases: Sequence[Case]) -> dict[str, Weight]:
    """The mean of searches on scenes drawn with replacement."""
    scenes: dict[tuple[str, int], list[Case]] = {}
    for case in cases:
        scenes.setdefault((case.part, case.number), []).append(case)
    all_, found = [scenes[key] for key in sorted(scenes)], []
    for seed in range(SEARCHES):
        rng = np.random.default_rng(seed)
        drawn = [case for n in rng.integers(len(all_), size=len(all_)) for case in all_[int(n)]]
        found.append(search(drawn, rng, faults=FAULTS))
    return as_weights(np.mean(found, axis=0))


def as_weights(found: Values) -> dict[str, Weight]:
    rows = found.round(5).tolist()
    return {name: Weight(*(row[k] for row in rows)) for k, name in enumerate(SIGNS)} | BY_HAND


def store(weights: Weights) -> None:
    stored: dict[str, Any] = {
        "version": VERSION,
        "weights_sha256": find_checkpoint().sha256,  # fitted to mattes of these, or since then judged on them
        "signs": {name: asdict(weight) for name, weight in weights.items()},
    }
    FITTED.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(cases: Sequence[Case]) -> None:
    weights, version = fitted()
    over_photos = [case for case in cases if case.part == "judge" and not case.for_fitting]
    products = [case for case in cases if case.part == "products"]
    clean = [case for case in over_photos if case.fault == "clean"]
    print(f"Version {version}; {len(clean)} mattes without a planted fault; the worst fifth by each error:\n")
    print("| | AUC, SAD | recall, SAD | AUC, per contour | recall, per contour |")
    print("|---|--:|--:|--:|--:|")
    best, for_errors = (
        as_weights(search(over_photos, np.random.default_rng(0), faults=part)) for part in (FAULTS, 0.0)
    )
    measures = {
        "attention": np.array([case.score(weights) for case in clean]),
        "unknown share": np.array([case.unknown for case in clean]),
        "the same signs, fitted on these very mattes": np.array([case.score(best) for case in clean]),
        "the same, without faults": np.array([case.score(for_errors) for case in clean]),
    }
    measures |= {f"`{name}` alone": np.array([case.amounts.get(name, 1.0) for case in clean]) for name in SIGNS}
    worst = [worst_fifth(clean, error) for error in ("sad", "per_contour")]
    for name, scores in measures.items():
        cells = [f"{figure:.2f}" for bad in worst for figure in (auc(scores, bad), recall(scores, bad))]
        print(f"| {name} | {' | '.join(cells)} |")
    print("| chance | 0.50 | 0.20 | 0.50 | 0.20 |\n")
    for what, some in (("over photographs", over_photos), ("in products", products)):
        if some:
            print(f"Planted {what}:\n")
            by_fault(some, weights, best)
    missed(over_photos, weights)
    tidy = [case.score(weights) for case in products if case.fault == "clean"]
    print(f"Clean products with a score of {FLAGGED} or more: {sum(s >= FLAGGED for s in tidy)} of {len(tidy)}")


def by_fault(cases: Sequence[Case], weights: Weights, best: Weights) -> None:
    """A row for each fault: how wrong it makes a matte, what the score is, and who finds it."""
    clean = [case for case in cases if case.fault == "clean"]
    error = {case.number: case.sad for case in clean}
    planted = [case for case in cases if case.fault != "clean" and case.number in error]
    limit, oracle = (float(np.quantile([c.score(w) for c in clean], 0.75)) for w in (weights, best))
    share = float(np.quantile([case.unknown for case in clean], 0.75))
    print("| fault | mattes | adds to the error, median | score, median | strongest sign | of them harmful |", end=" ")
    print("in the top quarter of the clean ones | by unknown share | fitted on these very mattes |")
    print("|---|--:|--:|--:|---|--:|--:|--:|--:|")
    for fault in [*sorted({case.fault for case in planted}), "all"]:
        some = [case for case in planted if fault in (case.fault, "all")]
        bad = [case for case in some if case.sad - error[case.number] >= HARM]
        strongest = Counter(max(case.shares(weights).items(), key=lambda item: item[1])[0] for case in some)
        name, often = strongest.most_common(1)[0]
        added = float(np.median([case.sad - error[case.number] for case in some]))
        caught = np.mean([case.score(weights) > limit for case in bad])
        by_share = np.mean([case.unknown > share for case in bad])
        by_oracle = np.mean([case.score(best) > oracle for case in bad])
        middle = float(np.median([case.score(weights) for case in some]))
        cells = [f"{len(some)}", f"{added:.2%}", f"{middle:.2f}", f"`{name}` ({often})", f"{len(bad)}"]
        print(f"| {fault} | {' | '.join([*cells, f'{caught:.0%}', f'{by_share:.0%}', f'{by_oracle:.0%}'])} |")
    print()


def missed(cases: Sequence[Case], weights: Weights) -> None:
    """Medians of the harmful faults that are not in the top quarter, beside those that are."""
    clean = [case for case in cases if case.fault == "clean"]
    error, bad = {case.number: case.sad for case in clean}, harmful(cases)
    limit = float(np.quantile([case.score(weights) for case in clean], 0.75))
    names = ("unseen", "border")
    titles = [f"{name}, {who}" for name in ("`unseen`", "`border`", "adds to the error") for who in ("missed", "found")]
    print(f"| fault | missed | found | {' | '.join(titles)} |\n|---|{'--:|' * (2 + len(titles))}")
    for fault in sorted({case.fault for case in bad}):
        some = [case for case in bad if case.fault == fault]
        parts = [[c for c in some if c.score(weights) <= limit], [c for c in some if c.score(weights) > limit]]
        cells = [str(len(part)) for part in parts]
        for name in names:
            cells += [f"{np.median([c.amounts.get(name, 0.0) for c in part]):.3f}" if part else "" for part in parts]
        cells += [f"{np.median([c.sad - error[c.number] for c in part]):.2%}" if part else "" for part in parts]
        print(f"| {fault} | {' | '.join(cells)} |")
    kinds = Counter(c.kind for c in bad if c.score(weights) <= limit)
    print("\nMissed by kind: " + ", ".join(f"{kind} {number}" for kind, number in kinds.most_common()) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "fit", "judge"))
    parser.add_argument("scenes", type=Path)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.scenes)
        return
    stored = json.loads((options.scenes / "signs.json").read_text(encoding="utf-8"))
    cases = [Case(**case) for case in stored.values()]
    if options.what == "judge":
        judge(cases)
        return
    chosen = [case for case in cases if case.for_fitting]
    weights = fit(chosen)
    store(weights)
    for name, weight in weights.items():
        added = [weight.share(case.amounts.get(name, 0.0)) for case in chosen if case.fault == "clean"]
        print(f"{name}: {weight}; adds {np.mean(added):.3f} to a clean matte")


if __name__ == "__main__":
    main()
