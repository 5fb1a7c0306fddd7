"""What the documents claim: links lead somewhere, and modules that they name exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "experiments/*.md", "weights/*.md")
    for path in ROOT.glob(pattern)
)


def moved_modules() -> list[str]:
    """The new names in the changelog's table of moved modules."""
    table = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("| before | now |")[2].partition("\n\n")[0]
    cells = [row.split("|")[2] for row in table.splitlines() if row.count("|") == 3]
    return [name for cell in cells for name in re.findall(r"`([a-z_.]+)`", cell)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_in_documents_lead_to_files_and_headings(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, heading = target.partition("#")
        path = document if not file else document.parent / file
        assert path.exists(), f"{document.name} links to {target}, which does not exist"
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in headings]
            assert heading in anchors, f"{document.name} links to {target}, but the heading does not exist"


def test_modules_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    assert len(named) > 15
    for name in sorted(named):
        assert (ROOT / name).exists() or (ROOT / "mattecli" / name).exists(), f"CONTRIBUTING.md names {name}"


def test_the_new_names_in_the_table_of_moved_modules_exist() -> None:
    names = moved_modules()
    assert len(names) > 30
    for name in names:
        assert find_spec(f"mattecli.{name}") is not None, f"the changelog names mattecli.{name}"
