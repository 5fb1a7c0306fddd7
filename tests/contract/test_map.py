from pathlib import Path

from tests.contract.make_map import BEGIN, DOCUMENT, END, ROOT, entries, first_line, new_map, old_map, rooms

MOST_WORDS = 11


def test_the_map_in_contributing_shows_every_module_and_folder_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert old_map(text) == new_map(), "run `python -m tests.contract.make_map`"


def test_every_module_says_in_one_short_sentence_what_it_is() -> None:
    for path in sorted((ROOT / "mattecli").rglob("*.py")):
        line = first_line(path)
        assert line.endswith("."), f"{path}: the docstring's first line is not a whole sentence: {line!r}"
        assert len(line.split()) <= MOST_WORDS, f"{path}: more than {MOST_WORDS} words: {line}"


def test_the_map_has_as_many_modules_as_there_are_files() -> None:
    files = [path for path in (ROOT / "mattecli").rglob("*.py") if path.name != "__init__.py"]
    folders = [path for path in (ROOT / "mattecli").rglob("*") if path.is_dir() and path.name != "__pycache__"]
    listed = [name for _, name, _ in entries()]
    assert sorted(name for name in listed if name.endswith(".py")) == sorted(path.name for path in files)
    assert sorted(name for name in listed if name.endswith("/")) == sorted(
        f"{path.name}/" for path in [ROOT / "mattecli", *folders]
    )


def test_rooms_stand_in_the_order_of_imports() -> None:
    listed = [name.removesuffix("/").removesuffix(".py") for depth, name, _ in entries() if depth == 1]
    assert [name for name in listed if name in rooms()] == rooms()


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text('"""A package."""')
    (package / "mute.py").write_text("x = 1")
    (package / "pictures").mkdir()
    (package / "pictures" / "a.html").touch()
    assert list(entries(package)) == [(0, "package/", "A package."), (1, "mute.py", ""), (1, "pictures/", "a.html")]
