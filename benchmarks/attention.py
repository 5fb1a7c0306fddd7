"""Fits the weights of the attention score, and judges it on other mattes.

    python benchmarks/attention.py measure SCENES    writes SCENES/signs.json
    python benchmarks/attention.py fit SCENES        writes mattecli/evaluation/attention.json
    python benchmarks/attention.py judge SCENES      prints a markdown table

SCENES is the folder that `attention_scenes.py` made. Foregrounds with even numbers are for fitting, the others for
judging. A matte counts as bad for fitting if a fault was planted in it, or if it is in the worst fifth of the others by
error per pixel of contour.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.attention import FITTED, HARD, SIGNS, Weight, fitted, signs
from mattecli.weights import find_checkpoint

Values = NDArray[np.float64]

UNSEEN = 0.9  # the weight of a sign that no matte for fitting shows


@dataclass(frozen=True)
class Case:
    """A matte: its foreground's number, its fault or `clean`, the amounts of the signs, and how wrong it is."""

    number: int
    fault: str
    amounts: dict[str, float]
    unknown: float
    sad: float
    per_contour: float

    @property
    def score(self) -> float:
        """As `attention` computes it."""
        if set(self.amounts) & set(HARD):
            return 1.0
        weights, _ = fitted()
        return 1 - float(np.prod([1 - weights[name].share(amount) for name, amount in self.amounts.items()]))


def measured(path: Path) -> Case:
    stored = np.load(path)
    photo, alpha, truth, trimap = (stored[key] for key in ("photo", "alpha", "truth", "trimap"))
    number, _, fault = path.stem.partition("-")
    found = {name: reason.amount for name, reason in signs(photo, alpha, trimap).items()}
    sad = float(np.abs(alpha - truth).sum())
    solid = truth > 0.5
    contour = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    return Case(int(number), fault, found, float((trimap == 128).mean()), sad, sad / max(1, contour))


def fit(cases: list[Case]) -> dict[str, Weight]:
    """Weight, free and full amount of each sign, by the log loss of the score as a probability of being bad."""
    errors = np.array([case.per_contour for case in cases if case.fault == "clean"])
    limit = float(np.quantile(errors, 0.8))
    planted = np.array([case.fault != "clean" for case in cases])
    bad = planted | np.array([case.per_contour > limit for case in cases])
    groups = [~bad, planted, bad & ~planted]
    balance = sum((group / (len(groups) * max(1, group.sum())) for group in groups), np.zeros(len(cases)))
    table = np.array([[case.amounts.get(name, 0.0) for name in SIGNS] for case in cases])
    ranges = [_ranges(column, bad)[0] for column in table.T]
    for _ in range(2):
        for k, column in enumerate(table.T):
            tried = [[*ranges[:k], each, *ranges[k + 1 :]] for each in _ranges(column, bad)]
            ranges = min(tried, key=lambda each: _descend(table, each, bad, balance, steps=200)[1])
    weights, _ = _descend(table, ranges, bad, balance, steps=4000)
    weights[table.max(0) == 0] = UNSEEN  # the network's alphas never contradict their trimaps; given ones may
    return {
        name: Weight(*(round(float(value), 5) for value in (weights[k], *ranges[k]))) for k, name in enumerate(SIGNS)
    }


def _descend(
    table: Values, ranges: list[tuple[float, float]], bad: NDArray[np.bool_], balance: Values, *, steps: int
) -> tuple[Values, float]:
    """The weights for these free and full amounts, and the loss; `balance` says how much each matte counts."""
    free, full = np.array(ranges).T
    shares = np.clip((table - free) / (full - free), 0, 1)
    weights = np.full(table.shape[1], 0.2)
    for _ in range(steps):
        rest = 1 - weights * shares  # (cases, signs)
        clear = rest.prod(1)  # 1 − score
        slope = shares / rest  # of −log(1 − score) in each weight
        pull = np.where(bad, -clear / np.maximum(1 - clear, 1e-2), 1.0) * balance
        weights = np.clip(weights - 0.3 * (pull @ slope), 0.0, 0.95)
    clear = (1 - weights * shares).prod(1)
    loss = float((np.where(bad, -np.log(np.maximum(1 - clear, 1e-2)), -np.log(clear)) * balance).sum())
    return weights, loss


def _ranges(amounts: Values, bad: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Free and full amounts to try: quantiles of the good mattes' amounts, and of all that are not 0."""
    some = amounts[amounts > 0]
    if not len(some):
        return [(0.0, 0.01)]  # never seen while fitting
    lows = {0.0, *(float(value) for value in np.quantile(amounts[~bad], (0.5, 0.75, 0.9)))}
    highs = {float(value) for value in np.quantile(some, (0.1, 0.3, 0.5, 0.75, 0.95))}
    return [(low, max(high, low + 1e-3)) for low in sorted(lows) for high in sorted(highs) if high > low] or [
        (0.0, max(highs))
    ]


def auc(scores: Values, bad: NDArray[np.bool_]) -> float:
    """The probability that a bad matte scores above a good one; ties count half."""
    differ = scores[bad][:, None] - scores[~bad][None]
    return float(((differ > 0) + 0.5 * (differ == 0)).mean())


def recall(scores: Values, bad: NDArray[np.bool_], part: float = 0.2) -> float:
    """The share of the bad that is among the first `part` by score."""
    first = np.argsort(-scores, kind="stable")[: max(1, round(part * len(scores)))]
    return float(bad[first].sum() / bad.sum())


def judge(cases: list[Case]) -> None:
    clean = [case for case in cases if case.fault == "clean"]
    measures = {
        "attention": np.array([case.score for case in clean]),
        "unknown share": np.array([case.unknown for case in clean]),
    }
    print(f"{len(clean)} mattes without a planted fault; the worst fifth by each error:\n")
    print("| | AUC, SAD | recall, SAD | AUC, per contour | recall, per contour |")
    print("|---|--:|--:|--:|--:|")
    worst = []
    for error in ("sad", "per_contour"):
        values = np.array([getattr(case, error) for case in clean])
        worst.append(values >= np.quantile(values, 0.8))
    for name, scores in measures.items():
        cells = [f"{figure:.2f}" for bad in worst for figure in (auc(scores, bad), recall(scores, bad))]
        print(f"| {name} | {' | '.join(cells)} |")
    print("| chance | 0.50 | 0.20 | 0.50 | 0.20 |\n")
    print("| planted fault | mattes | in the top quarter of the clean ones | by unknown share |")
    print("|---|--:|--:|--:|")
    planted = [case for case in cases if case.fault != "clean"]
    limits = {name: float(np.quantile(scores, 0.75)) for name, scores in measures.items()}
    for fault in [*sorted({case.fault for case in planted}), "all"]:
        some = [case for case in planted if fault in (case.fault, "all")]
        caught = sum(case.score > limits["attention"] for case in some)
        by_share = sum(case.unknown > limits["unknown share"] for case in some)
        print(f"| {fault} | {len(some)} | {caught / len(some):.0%} | {by_share / len(some):.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "fit", "judge"))
    parser.add_argument("scenes", type=Path)
    options = parser.parse_args()
    file = options.scenes / "signs.json"
    if options.what == "measure":
        found = [asdict(measured(path)) for path in sorted(options.scenes.glob("*.npz"))]
        file.write_text(json.dumps(found), encoding="utf-8")
        return
    cases = [Case(**stored) for stored in json.loads(file.read_text(encoding="utf-8"))]
    if options.what == "judge":
        judge([case for case in cases if case.number % 2 == 1])
        return
    chosen = [case for case in cases if case.number % 2 == 0]
    weights = fit(chosen)
    stored: dict[str, Any] = {
        "version": 1,
        "weights_sha256": find_checkpoint().sha256,
        "signs": {name: asdict(weight) for name, weight in weights.items()},
    }
    FITTED.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    for name, weight in weights.items():
        added = [weight.share(case.amounts.get(name, 0.0)) for case in chosen if case.fault == "clean"]
        print(f"{name}: {weight}; adds {np.mean(added):.3f} to a clean matte")


if __name__ == "__main__":
    main()
