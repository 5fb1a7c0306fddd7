"""`matte weights`: what lies in the box, and other people's checkpoints made safe to load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Overwrite, Quiet, Verbose

if TYPE_CHECKING:
    from mattecli.weights import Checkpoint

app = typer.Typer(no_args_is_help=True, help="List, show, verify and convert checkpoints.")

Which = Annotated[
    str | None, typer.Argument(metavar="[NAME|FILE]", help="In the box or a file; the default one if left out.")
]


@app.command("list")
def list_(as_json: Json = False, debug: Debug = False) -> None:
    """The checkpoints in the box.

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


@app.command()
def show(which: Which = None, as_json: Json = False, debug: Debug = False) -> None:
    """What a checkpoint holds, and its model card.

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
        terminal.data("\n" + checkpoint.card.read_text(encoding="utf-8"))


@app.command()
def verify(which: Which = None, quiet: Quiet = False, as_json: Json = False, debug: Debug = False) -> None:
    """Check that a checkpoint is whole, fits the network and is the one that was shipped; all in the box by default.

    Example: matte weights verify a2u.safetensors
    """
    from mattecli.weights import find_checkpoint, shipped

    checkpoints = [find_checkpoint(which)] if which else shipped()
    for checkpoint in checkpoints:
        checkpoint.verify()
        facts = _facts(checkpoint)
        origin = "as shipped" if checkpoint.expected else "fits the network"
        if as_json:
            terminal.data(json.dumps(facts) + "\n")
        else:
            terminal.say(f"{checkpoint.path}: {origin}, {facts['variant']}, {facts['parameters']:,} parameters")


@app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            readable=False, help="A checkpoint: the authors' .pth, a state dict, safetensors, or a name from the box."
        ),
    ],
    target: Annotated[Path, typer.Argument(readable=False, help="The safetensors file to write.")],
    half: Annotated[bool, typer.Option("--half/--full", help="16-bit or 32-bit numbers.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Rewrite a checkpoint as safetensors, which cannot carry code.

    Example: matte weights convert a2u_matting.pth a2u.safetensors
    """
    from mattecli.errors import UsageError, WeightsError
    from mattecli.system.files import check_target
    from mattecli.weights import find_checkpoint

    checkpoint = find_checkpoint(source)
    if checkpoint.exported:
        raise WeightsError(f"{source} is an exported file without norms; convert the checkpoint that it came from")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} does not end in .safetensors, which is what convert writes; rename it")
    check_target(target, overwrite=overwrite, inputs=[checkpoint.path])

    import torch

    from mattecli.network.checkpoint import load_a2u, save_a2u

    save_a2u(load_a2u(checkpoint.path), target, dtype=torch.float16 if half else torch.float32)
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
    """What a file of `matte export-onnx` says of itself, after a look at its tensors."""
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
