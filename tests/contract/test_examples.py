"""The Python that the examples and the README show runs as it stands."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mattecli.imaging.read import read_alpha, read_image, read_size
from tests.support.pictures import disc, noise, write

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def write_photo(photo: Path, trimap: Path) -> None:
    """A small photo and the trimap of a disc in it."""
    alpha = disc()
    write(photo, noise(1))
    write(trimap, np.where((alpha > 0) & (alpha < 255), np.uint8(128), alpha))


def test_the_example_in_python_mattes_its_photo_and_puts_it_on_its_background(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "predict.py", tmp_path)
    write_photo(tmp_path / "portrait.jpg", tmp_path / "portrait_trimap.png")
    write(tmp_path / "background.jpg", noise(2, 90, 70))
    (tmp_path / "out").mkdir()
    command = [sys.executable, str(tmp_path / "predict.py"), str(tmp_path / "out")]
    for _ in range(2):  # a second run writes its files again
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("8000 pixels on ")
    assert read_alpha(tmp_path / "out" / "alpha.png").shape == (80, 100)
    assert read_size(tmp_path / "out" / "composite.jpg") == (100, 80)
    for name in re.findall(r'here / "([^"]+)"', (EXAMPLES / "predict.py").read_text(encoding="utf-8")):
        assert (EXAMPLES / name).exists()


@pytest.mark.usefixtures("networks_once")
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    write_photo(tmp_path / "photo.jpg", tmp_path / "photo_trimap.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        exec(blocks[0], {})
    alpha = read_alpha(tmp_path / "photo_alpha.png")
    cutout = read_image(tmp_path / "photo_cutout.png", keep_alpha=True).pixels
    assert cutout.dtype == np.uint8
    np.testing.assert_array_equal(cutout[..., 3], np.rint(alpha * 255))
