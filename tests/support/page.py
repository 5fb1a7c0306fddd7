"""An HTML page as a reader sees it."""

from __future__ import annotations

from html.parser import HTMLParser

UNPAIRED = ("meta", "img", "input")
HIDDEN = ("style", "script", "title")


class Page(HTMLParser):
    """Parses a page. Fails if a tag is closed that was not the last to be opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []  # tags that are never closed
        self.loads: list[str] = []  # what src and href name
        self.labels: list[str] = []  # what the pictures and controls are called
        self.title = ""
        self._words: list[str] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """All that is written on the page, from top to bottom, with single spaces."""
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in UNPAIRED:
            self.open.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href")]
        self.labels += [value or "" for key, value in attrs if key in ("alt", "aria-label")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.title += data
        elif not self.open or self.open[-1] not in HIDDEN:
            self._words.append(data)
