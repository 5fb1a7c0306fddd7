from pathlib import Path

from tests.contract.make_map import BEGIN, DOCUMENT, END, ROOT, entries, new_map, old_map, rooms


def test_the_map_in_contributing_shows_every_module_and_folder_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert old_map(text) == new_map(), "run `python -m tests.contract.make_map`"


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
