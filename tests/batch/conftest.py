from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.batches import make_folders


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Three photos with trimaps, one of them in a subfolder; and where the outputs go."""
    return make_folders(tmp_path)
