"""Fits the weights of the attention score, and judges it on other mattes.

    python benchmarks/attention.py fit SCENES      writes mattecli/evaluation/attention.json
    python benchmarks/attention.py judge SCENES    prints a markdown table

SCENES is the folder that `attention_scenes.py` made. Foregrounds with even numbers are for fitting, the others for
judging. A matte counts as bad for fitting if a fault was planted in it, or if it is in the worst fifth of the others by
error per pixel of contour.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.attention import FITTED, SIGNS, attention, share, signs
from mattecli.weights import find_checkpoint

Values = NDArray[np.float64]

UNSEEN = 0.9  # the weight of a sign that no matte for fitting shows


@dataclass(frozen=True)
class Case:
    """A matte: its foreground's number, its fault or `clean`, the amounts of the signs, and how wrong it is."""

    number: int
    fault: str
    amounts: dict[str, float]
    score: float
    unknown: float
    sad: float
    per_contour: float


def read_case(path: Path, *, scored: bool) -> Case:
    stored = np.load(path)
    photo, alpha, truth, trimap = (stored[key] for key in ("photo", "alpha", "truth", "trimap"))
    number, _, fault = path.stem.partition("-")
    found = {name: reason.amount for name, reason in signs(photo, alpha, trimap).items()}
    score = attention(photo, alpha, trimap).score if scored else 0.0
    sad = float(np.abs(alpha - truth).sum())
    solid = truth > 0.5
    contour = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    return Case(int(number), fault, found, score, float((trimap == 128).mean()), sad, sad / max(1, contour))


def fit(cases: list[Case]) -> dict[str, tuple[float, float]]:
    """Weight and full amount of each sign, by the log loss of the score as a probability of being bad."""
    errors = np.array([case.per_contour for case in cases if case.fault == "clean"])
    limit = float(np.quantile(errors, 0.8))
    bad = np.array([case.fault != "clean" or case.per_contour > limit for case in cases])
    table = np.array([[case.amounts.get(name, 0.0) for name in SIGNS] for case in cases])
    full = [_candidates(column)[2] for column in table.T]
    for _ in range(2):
        for k, column in enumerate(table.T):
            tried = [[*full[:k], candidate, *full[k + 1 :]] for candidate in _candidates(column)]
            full = min(tried, key=lambda each: _descend(table, each, bad, steps=300)[1])
    weights, _ = _descend(table, full, bad, steps=4000)
    weights[table.max(0) == 0] = UNSEEN  # the network's alphas never contradict their trimaps; given ones may
    return {name: (round(float(weights[k]), 3), round(float(full[k]), 5)) for k, name in enumerate(SIGNS)}


def _descend(table: Values, full: list[float], bad: NDArray[np.bool_], *, steps: int) -> tuple[Values, float]:
    """The weights for these full amounts, and the loss; bad and good mattes count equally as groups."""
    shares = np.minimum(1, table / np.array(full))
    weights = np.full(table.shape[1], 0.2)
    balance = np.where(bad, 0.5 / max(1, bad.sum()), 0.5 / max(1, (~bad).sum()))
    for _ in range(steps):
        rest = 1 - weights * shares  # (cases, signs)
        clear = rest.prod(1)  # 1 − score
        slope = shares / rest  # of −log(1 − score) in each weight
        pull = np.where(bad, -clear / np.maximum(1 - clear, 1e-2), 1.0) * balance
        weights = np.clip(weights - 0.3 * (pull @ slope), 0.0, 0.95)
    clear = (1 - weights * shares).prod(1)
    loss = float((np.where(bad, -np.log(np.maximum(1 - clear, 1e-2)), -np.log(clear)) * balance).sum())
    return weights, loss


def _candidates(amounts: Values) -> list[float]:
    """Full amounts to try: quantiles of the amounts that are not 0."""
    some = amounts[amounts > 0]
    if not len(some):
        return [0.01] * 5  # never seen while fitting
    return [max(1e-4, float(value)) for value in np.quantile(some, (0.1, 0.3, 0.5, 0.75, 0.95))]


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
    parser.add_argument("what", choices=("fit", "judge"))
    parser.add_argument("scenes", type=Path)
    options = parser.parse_args()
    paths = sorted(options.scenes.glob("*.npz"))
    odd = int(options.what == "judge")
    cases = [read_case(path, scored=bool(odd)) for path in paths if int(path.stem.partition("-")[0]) % 2 == odd]
    if odd:
        judge(cases)
        return
    weights = fit(cases)
    stored: dict[str, Any] = {
        "version": 1,
        "weights_sha256": find_checkpoint().sha256,
        "signs": {name: {"weight": weight, "full": full} for name, (weight, full) in weights.items()},
    }
    FITTED.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    for name, (weight, full) in weights.items():
        added = [share(case.amounts.get(name, 0.0), weight, full) for case in cases if case.fault == "clean"]
        print(f"{name}: weight {weight}, full at {full}; adds {np.mean(added):.3f} to a clean matte")


if __name__ == "__main__":
    main()
