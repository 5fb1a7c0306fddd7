"""The table of formats in the docs is that of the code."""

from tests.contract.make_formats import DOCUMENT, new_table, old_table


def test_the_table_of_formats_is_up_to_date() -> None:
    assert old_table(DOCUMENT.read_text(encoding="utf-8")) == new_table(), "run python -m tests.contract.make_formats"
