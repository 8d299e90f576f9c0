"""What all pictures are made of: an SVG that grows, of boxes, words and arrows."""

from html import escape
from typing import Final

LINE: Final = 22
"""Height of a line of text with the space around it, in the picture's units."""

LETTER: Final = 7.9
"""Width of a letter: all text has the same, whatever font the reader's machine takes."""

LEAST: Final = 0.8
"""How far a picture shrinks on a phone before it scrolls: letters stay readable."""


class Drawing:
    """An SVG that grows: boxes, words and arrows at their places."""

    def __init__(self, name: str, title: str, description: str) -> None:
        self.name = name
        self.words = (title, description)
        self.parts: list[str] = []
        self.width = self.height = 0.0

    def _reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """Words whose middle is at the height `y`; `kind` is a class of the style sheet."""
        length = len(text) * LETTER
        if anchor == "start":
            self._reach(x + length, y + LINE / 2)
        self.parts.append(
            f'<text x="{x:g}" y="{y + 4.5:g}" text-anchor="{anchor}" textLength="{length:g}"'
            f' lengthAdjust="spacingAndGlyphs" class="{kind}">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str = "") -> None:
        """A rectangle."""
        self._reach(x + width, y + height)
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"'
            f' class="{kind}"/>'
        )

    def room(self, x: float, y: float, text: str, width: float = 0, kind: str = "") -> None:
        """A box of one line with words in its middle; `y` is the middle, too."""
        width = width or (len(text) + 2) * LETTER
        self.box(x, y - LINE / 2 + 1, width, LINE - 2, kind)
        self.text(x + width / 2, y, text, kind, "middle")

    def line(self, *points: tuple[float, float], kind: str = "", arrow: bool = True) -> None:
        """A line through the points, with a head at its last."""
        for x, y in points:
            self._reach(x, y)
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        end = f' marker-end="url(#{self.name}-head)"' if arrow else ""
        self.parts.append(f'<path d="{path}" class="{kind}"{end}/>')

    def dot(self, x: float, y: float, kind: str = "") -> None:
        """A small disc."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" class="{kind}"/>')

    def svg(self) -> str:
        """The picture as a part of a page; no blank line in it, which would end it in Markdown."""
        title, description = (escape(words) for words in self.words)
        width, height = self.width + 2, self.height + 2
        head = (
            f'<marker id="{self.name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
        )
        return "\n".join(
            [
                f'<div class="diagram" id="diagram-{self.name}" tabindex="0">',
                f'<svg viewBox="-1 -1 {width:g} {height:g}" style="width:{width:g}px;'
                f'min-width:{width * LEAST:g}px" role="img"'
                f' aria-labelledby="{self.name}-title {self.name}-words">',
                f'<title id="{self.name}-title">{title}</title>',
                f'<desc id="{self.name}-words">{description}</desc>',
                f"<defs>{head}</defs>",
                *self.parts,
                "</svg>",
                "</div>",
            ]
        )
