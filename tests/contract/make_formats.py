"""The table of formats in docs/reading.md, made from `mattecli/imaging/reading/formats.py`.

    python -m tests.contract.make_formats

writes the table anew between its two markers. `test_formats.py` fails when that would change it.
"""

from __future__ import annotations

from pathlib import Path

from mattecli.imaging.reading.formats import FORMATS

DOCUMENT = Path(__file__).parents[2] / "docs" / "reading.md"
BEGIN, END = "<!-- formats: begin -->", "<!-- formats: end -->"
_READERS = {
    "pillow": "Pillow",
    "heif": "pillow-heif",
    "openimageio": "OpenImageIO, in a process of its own",
    "numpy": "NumPy",
}


def new_table() -> str:
    """The table as it should stand between the markers."""
    rows = [f"| {form.name} | {form.reads} | {_READERS[form.reader]} |" for form in FORMATS]
    return "\n".join(["", "", "| format | what is read | by |", "|---|---|---|", *rows, "", ""])


def old_table(text: str) -> str:
    """What stands between the markers of a document."""
    return text.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the table into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}{new_table()}{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
