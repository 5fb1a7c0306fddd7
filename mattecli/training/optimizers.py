"""The optimizers; a step with non-finite gradients is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mattecli.training.config import OptimizerConfig

# The encoder in the authors' recipe. Its operators (`bilinear…`) learn at the decoder's rate.
_ENCODER = ("layer0.", "layer1.", "layer2_1.", "layer2_2.", "layer3_1.", "layer3_2.")
_STEPS = 5  # Newton-Schulz iterations
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steepest slope at 0 that still ends near 1


class Optimizers:
    """One or two PyTorch optimizers over a network's parameters, stepped, scheduled and saved as one."""

    def __init__(self, network: nn.Module, config: OptimizerConfig, *, bf16: bool = True) -> None:
        matrices, others = _split(network, config)
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "muon": torch.optim.AdamW}
        # fused: one kernel a step, and the only form that can skip a step without asking the host
        self.parts: list[torch.optim.Optimizer] = [
            kinds[config.name](others, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
        ]
        if matrices:
            self.parts.append(Muon(matrices, lr=config.muon_lr, momentum=config.muon_momentum, bf16=bf16))
        for part in self.parts:
            for group in part.param_groups:
                group["full_lr"] = group["lr"]

    def set_factor(self, factor: float) -> None:
        """Multiply every group's own learning rate."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["full_lr"] * factor

    def step(self, *, bad: Tensor) -> None:
        """One step, or none if `bad` (a float on the device) is 1."""
        for part in self.parts:
            part.found_inf = bad  # type: ignore[attr-defined]  # the hook that torch.amp.GradScaler uses
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """All state, for a checkpoint."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Load the state of a checkpoint. Raises ValueError for the state of another optimizer."""
        for part, state in zip(self.parts, states, strict=True):
            settings = [{key: value for key, value in g.items() if key != "params"} for g in part.param_groups]
            part.load_state_dict(state)
            for group, own in zip(part.param_groups, settings, strict=True):
                group.update(own)  # what was changed in the config since then holds


def _split(network: nn.Module, config: OptimizerConfig) -> tuple[list[dict[str, Any]], ...]:
    """Parameter groups for Muon (hidden convolutions) and for Adam (the rest), by factor and by whether they decay.

    A weight decay of 0 makes the same groups, so that it can be changed when a run is resumed.
    """
    matrices: dict[tuple[float, bool], list[nn.Parameter]] = {}
    others: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        encoder = name.startswith(_ENCODER) and ".bilinear." not in name
        factor = config.encoder_factor if encoder else config.decoder_factor
        decays = parameter.ndim >= 2 and "bconv" not in name
        groups = matrices if config.name == "muon" and _is_hidden(name, parameter) else others
        groups.setdefault((factor, decays), []).append(parameter)
    return tuple(
        [{"params": p, "lr": rate * f, "weight_decay": config.weight_decay * d} for (f, d), p in groups.items()]
        for rate, groups in ((config.muon_lr, matrices), (config.lr, others))
    )


def _is_hidden(name: str, parameter: nn.Parameter) -> bool:
    """Whether a weight maps features to features: not the first or last layer, a depthwise kernel or a generator."""
    edge = name.startswith(("layer0.", "short0.", "pred.")) or "bconv" in name
    return parameter.ndim == 4 and not edge and min(parameter.shape[:2]) > 1


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal (K. Jordan et al., Muon, 2024), with convolutions as matrices (O, I·k·k).

    PyTorch's own Muon takes only 2-D parameters. Parameters of one shape go through the iteration together, in bfloat16
    with `bf16`. Updates are scaled by √max(1, rows / columns); weight decay is decoupled.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float, bf16: bool = True) -> None:
        super().__init__(list(groups), {"lr": lr, "momentum": momentum, "weight_decay": 0.0})
        self._dtype = torch.bfloat16 if bf16 else torch.float32

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step on all parameters that have a gradient; none if `found_inf` is 1."""
        bad: Tensor | None = getattr(self, "found_inf", None)
        if bad is not None and bad.device.type == "cpu":  # looking at it costs nothing there
            if bad > 0:
                return
            bad = None
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for parameters in shapes.values():
                self._step_together(parameters, group, bad)

    def _step_together(self, parameters: list[nn.Parameter], group: Mapping[str, Any], bad: Tensor | None) -> None:
        gradients = torch.stack([p.grad.flatten(1) for p in parameters if p.grad is not None])  # (N, O, I·k·k)
        if bad is not None:
            gradients = torch.where(bad > 0, 0.0, gradients)
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter.flatten(1))
        old = torch.stack([self.state[p]["momentum"] for p in parameters])
        mu = group["momentum"]
        new = old.lerp(gradients, 1 - mu)
        update = orthogonal(gradients.lerp(new, mu).to(self._dtype)).float()  # Nesterov's look ahead
        update *= max(1.0, update.shape[1] / update.shape[2]) ** 0.5
        keep: Tensor | float = 1.0
        if bad is not None:
            new, keep = torch.where(bad > 0, old, new), 1 - bad
        for parameter, momentum, change in zip(parameters, new, update, strict=True):
            self.state[parameter]["momentum"].copy_(momentum)
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"] * keep)
            parameter.sub_(change.view_as(parameter) * (group["lr"] * keep))


def orthogonal(matrices: Tensor) -> Tensor:
    """The matrices (N, rows, columns) with their singular values moved near 1 (0.7 to 1.2), by Newton-Schulz."""
    a, b, c = _COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x: Tensor = matrices if wide else matrices.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    result: Tensor = x if wide else x.transpose(1, 2)
    return result
