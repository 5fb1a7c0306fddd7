"""The mean of checkpoints, tensor by tensor, as a checkpoint of 16 bits.

    python benchmarks/average.py OUT.safetensors ONE.safetensors OTHER.safetensors [--shares 1 1]

If a run began from the weights of another and its learning rates stayed small, the mean of both is often better than
either (Wortsman et al., Model soups, 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mattecli.network.checkpoint import read_state_dict, save_a2u
from mattecli.spec import TAPS


def main() -> None:
    """Write the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="all of one variant and upsampling")
    parser.add_argument("--shares", type=float, nargs="+", help="one for each checkpoint; default: all equal")
    options = parser.parse_args()
    shares = options.shares or [1.0] * len(options.checkpoints)
    states = [read_state_dict(path) for path in options.checkpoints]
    if len(shares) != len(states):
        parser.error(f"{len(shares)} shares for {len(states)} checkpoints; give one for each checkpoint")
    if sum(shares) == 0:
        parser.error("the shares add up to 0; give at least one above 0")
    networks = [
        {name: tensor.tolist() if name == TAPS else tensor.shape for name, tensor in state.items()} for state in states
    ]
    if any(other != networks[0] for other in networks):
        parser.error("the checkpoints differ in variant or upsampling; give those of one network")
    pairs = list(zip(shares, states, strict=True))
    mean = {name: sum(w * state[name].double() for w, state in pairs) / sum(shares) for name in states[0]}
    save_a2u(mean, options.out)


if __name__ == "__main__":
    main()
