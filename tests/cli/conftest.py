from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _networks_once(networks_once: None) -> None:
    """All tests of the command line share loaded networks."""
