"""`matte weights`: lists, checks and converts checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.command import Group, add_command
from mattecli.cli.options import Json, Overwrite
from mattecli.cli.terminal import Terminal

if TYPE_CHECKING:
    from mattecli.weights import Checkpoint

Which = Annotated[
    str | None,
    typer.Argument(metavar="NAME|FILE", help="A bundled checkpoint or a file."),
]


def list_(*, as_json: Json = False, terminal: Terminal) -> None:
    """List the bundled checkpoints; * marks the default one.

    Example: matte weights list --json
    """
    from mattecli.weights import DEFAULT, shipped

    rows = []
    for checkpoint in shipped():
        size, default = checkpoint.size, checkpoint.name == DEFAULT
        rows.append({"name": checkpoint.name, "default": default, "bytes": size, "sha256": checkpoint.expected})
        if not as_json:
            mark = "*" if default else " "
            terminal.data(f"{mark} {checkpoint.name:<16} {size / 2**20:6.1f} MiB  sha256 {checkpoint.expected}\n")
    if as_json:
        terminal.data(json.dumps(rows) + "\n")


def show(which: Which = None, *, as_json: Json = False, terminal: Terminal) -> None:
    """Show what a checkpoint holds, and its model card. Without a name: the default checkpoint.

    Example: matte weights show a2u.safetensors
    """
    from mattecli.weights import find_checkpoint

    checkpoint = find_checkpoint(which)
    facts = _facts(checkpoint)
    if as_json:
        terminal.data(json.dumps(facts) + "\n")
        return
    for key, value in facts.items():
        terminal.data(f"{key}: {value}\n")
    if checkpoint.card:
        try:
            card = checkpoint.card.read_text(encoding="utf-8", errors="replace")  # it may be any file of that name
        except OSError as error:
            terminal.warn(f"the model card {checkpoint.card} cannot be read ({error.strerror})")
        else:
            terminal.data("\n" + card)


def verify(which: Which = None, *, as_json: Json = False, terminal: Terminal) -> None:
    """Check that a checkpoint is whole and fits the network, and that a bundled one is unchanged. Default: all bundled.

    Example: matte weights verify a2u.safetensors
    """
    from mattecli.weights import find_checkpoint, shipped

    checkpoints = shipped() if which is None else [find_checkpoint(which)]
    for checkpoint in checkpoints:
        checkpoint.verify()
        facts = _facts(checkpoint)
        origin = "as shipped" if checkpoint.expected else "fits the network"
        if as_json:
            terminal.data(json.dumps(facts) + "\n")
        else:
            terminal.say(f"{checkpoint.path}: {origin}, {facts['variant']}, {facts['parameters']:,} parameters")


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A checkpoint: the authors' .pth, a state dict, .safetensors, or a bundled name."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The .safetensors file to write.")],
    *,
    half: Annotated[bool, typer.Option("--half/--full", help="16-bit or 32-bit numbers.")] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Rewrite a checkpoint as safetensors, a format that cannot carry code.

    Example: matte weights convert a2u_matting.pth a2u.safetensors
    """
    from mattecli.errors import UsageError, WeightsError
    from mattecli.system.files import check_target
    from mattecli.weights import find_checkpoint

    checkpoint = find_checkpoint(source)
    if checkpoint.exported:
        raise WeightsError(f"{source} is an exported file without norms; convert the checkpoint that it came from")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} does not end in .safetensors, the format that convert writes; rename it")
    check_target(target, overwrite=overwrite, inputs=[checkpoint.path])

    import torch

    from mattecli.network.checkpoint import load_a2u, save_a2u

    dtype = torch.float16 if half else torch.float32
    save_a2u(load_a2u(checkpoint.path), target, dtype=dtype, overwrite=overwrite)
    terminal.say(f"{source} → {target}")
    if as_json:
        terminal.data(json.dumps({"source": str(source), **_facts(find_checkpoint(target))}) + "\n")


def _facts(checkpoint: Checkpoint) -> dict[str, str | int]:
    if checkpoint.exported:
        return _exported_facts(checkpoint)
    from mattecli.network.checkpoint import load_a2u, read_state_dict

    net = load_a2u(checkpoint.path)
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in read_state_dict(checkpoint.path).values()}
    return {
        "name": checkpoint.name,
        "file": str(checkpoint.path),
        "sha256": checkpoint.sha256,
        "variant": "shared" if net.shared else "unshared",
        "tensors": len(net.state_dict()),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "stored as": ", ".join(sorted(dtypes)),
    }


def _exported_facts(checkpoint: Checkpoint) -> dict[str, str | int]:
    """The facts in a file of `matte export-onnx`, with the number of its tensors."""
    from mattecli.onnx.read_weights import read_exported

    state, facts = read_exported(checkpoint.path)
    return {
        "name": checkpoint.name,
        "file": str(checkpoint.path),
        "sha256": checkpoint.sha256,
        "variant": facts["variant"],
        "tensors": len(state),
        "parameters": sum(array.size for array in state.values()),
        "stored as": "float16" if facts["precision"] == "fp16" else "float32",
        "made from": f"{facts['weights']}, SHA-256 {facts['weights_sha256']}, by {facts['tool']}",
        "licence": facts["weights_licence"],
        "operators": f"{facts['ops']}{', with pre- and postprocessing' if facts['pre_post'] == 'true' else ''}",
    }


app = typer.Typer(cls=Group, no_args_is_help=True, help="List, show, verify and convert checkpoints.")
add_command(app, list_, name="list")
for command in (show, verify, convert):
    add_command(app, command)
