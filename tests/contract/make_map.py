"""The map of modules in CONTRIBUTING.md, made from the first lines of docstrings.

    python -m tests.contract.make_map

writes the map anew between its two markers. `test_map.py` fails when that would change it.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- map: begin -->", "<!-- map: end -->"


def rooms() -> list[str]:
    """The names directly below `mattecli`, from top to bottom as the import contract orders them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["type"] == "layers")


def first_line(module: Path) -> str:
    """The first line of a module's docstring; empty if it has none."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def entries(package: Path = ROOT / "mattecli") -> Iterator[tuple[int, str, str]]:
    """Depth, name and first line of every module and folder: folders in the order of imports, modules by name."""
    yield 0, f"{package.name}/", first_line(package / "__init__.py")
    yield from _below(package, 1, rooms())


def _below(folder: Path, depth: int, order: list[str]) -> Iterator[tuple[int, str, str]]:
    def place(path: Path) -> tuple[int, str]:
        return order.index(path.stem) if path.stem in order else len(order), path.name

    for path in sorted(folder.iterdir(), key=place):
        if path.suffix == ".py" and path.name != "__init__.py":
            yield depth, path.name, first_line(path)
        elif path.is_dir() and (path / "__init__.py").exists():
            yield depth, f"{path.name}/", first_line(path / "__init__.py")
            yield from _below(path, depth + 1, [])
        elif path.is_dir() and path.name != "__pycache__":
            yield depth, f"{path.name}/", ", ".join(sorted(file.name for file in path.iterdir() if file.is_file()))
            yield from _below(path, depth + 1, [])


def new_map() -> str:
    """The map as it should stand between the markers."""
    lines = [f"    {'  ' * depth + name:<26}{line}".rstrip() for depth, name, line in entries()]
    return "\n".join(["", "", *lines, "", ""])


def old_map(text: str) -> str:
    """What stands between the markers of a document."""
    return text.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the map into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if not old_map(text):
        raise SystemExit(f"{DOCUMENT} has no map between {BEGIN} and {END}; add the two lines")
    DOCUMENT.write_text(text.replace(BEGIN + old_map(text) + END, BEGIN + new_map() + END), encoding="utf-8")


if __name__ == "__main__":
    main()
