"""Draws imgs/flow.svg: python imgs/draw_flow.py"""

from pathlib import Path

import drawsvg as draw

INK, PALE, FRAUD, LEGIT, DEAD = "#1f2937", "#6b7280", "#b91c1c", "#15803d", "#92400e"
FONT = {"font_family": "ui-monospace, Menlo, Consolas, monospace"}
BOX_HEIGHT = 64


def service(sheet: draw.Drawing, x: int, y: int, name: str, what: str) -> None:
    """A container: a filled box of 150 x 64 whose left upper corner is at (x, y)."""
    sheet.append(draw.Rectangle(x, y, 150, BOX_HEIGHT, rx=8, fill=INK))
    sheet.append(draw.Text(name, 17, x + 75, y + 28, text_anchor="middle", fill="white", **FONT))
    sheet.append(draw.Text(what, 11, x + 75, y + 48, text_anchor="middle", fill="#d1d5db", **FONT))


def topic(sheet: draw.Drawing, x: int, y: int, name: str, what: str, colour: str) -> None:
    """A topic: an outlined box of 300 x 64 with four partitions hinted at its left edge."""
    sheet.append(
        draw.Rectangle(x, y, 300, BOX_HEIGHT, rx=8, fill="white", stroke=colour, stroke_width=2)
    )
    for partition in range(4):
        top = y + 12 + partition * 11
        sheet.append(draw.Rectangle(x + 10, top, 22, 7, fill=colour, fill_opacity=0.35))
    sheet.append(draw.Text(name, 13, x + 42, y + 28, fill=colour, **FONT))
    sheet.append(draw.Text(what, 11, x + 42, y + 48, fill=PALE, **FONT))


def arrow(sheet: draw.Drawing, start: tuple[int, int], end: tuple[int, int], colour: str) -> None:
    """A curved arrow from left to right."""
    head = draw.Marker(-8, -5, 1, 5, scale=0.9, orient="auto")
    head.append(draw.Lines(-8, -4, 0, 0, -8, 4, fill=colour, close=True))
    path = draw.Path(stroke=colour, stroke_width=2, fill="none", marker_end=head)
    (x0, y0), (x1, y1) = start, end
    middle = (x0 + x1) / 2
    sheet.append(path.M(x0, y0).C(middle, y0, middle, y1, x1 - 3, y1))


def flow() -> draw.Drawing:
    """The whole picture, 1090 x 300."""
    sheet = draw.Drawing(1090, 300)
    sheet.append(draw.Rectangle(0, 0, 1090, 300, fill="white"))
    service(sheet, 20, 118, "generator", "1,000 a second")
    topic(sheet, 210, 118, "queueing.transactions", "JSON, keyed by account", INK)
    service(sheet, 550, 118, "detector", "judges each one")
    outputs = (
        ("streaming.transactions.legit", "as received", LEGIT),
        ("streaming.transactions.fraud", "+ rules, reasons", FRAUD),
        ("streaming.transactions.dead-letter", "+ error, origin", DEAD),
    )
    arrow(sheet, (170, 150), (210, 150), INK)
    arrow(sheet, (510, 150), (550, 150), INK)
    for row, (name, what, colour) in enumerate(outputs):
        y = 28 + row * 90
        topic(sheet, 770, y, name, what, colour)
        arrow(sheet, (700, 150), (770, y + BOX_HEIGHT // 2), colour)
    bracket = draw.Path(stroke=PALE, stroke_width=1.5, fill="none", stroke_dasharray="4 4")
    sheet.append(bracket.M(480, 196).L(480, 216).L(716, 216).L(716, 196))
    words = "one Kafka transaction: read, judged, sent, committed"
    sheet.append(draw.Text(words, 12, 560, 236, text_anchor="middle", fill=PALE, **FONT))
    return sheet


if __name__ == "__main__":
    flow().save_svg(str(Path(__file__).with_name("flow.svg")))
