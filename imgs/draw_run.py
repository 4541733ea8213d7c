"""Draws imgs/run.svg, a picture of a real run: python imgs/draw_run.py

Needs the pair running (`make up`); shows two frauds as the stock tool prints them, and the report.
"""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
_WIDTH = 112


def output_of(*command: str) -> list[str]:
    """The lines that a command prints; what it says on standard error is dropped."""
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    return done.stdout.splitlines()


def frauds(count: int) -> list[str]:
    """Records of the fraud topic with their headers."""
    tool = [sys.executable, "-m", "broker", "console-consumer"]
    topic = ["--topic", "streaming.transactions.fraud", "--isolation-level", "read_committed"]
    shown = ["--formatter-property", "print.headers=true", "--max-messages", str(count)]
    return output_of(*tool, *topic, *shown)


def coloured(line: str) -> Text:
    """A line of output; the verdict's rule, text and amount stand out."""
    text = Text(line)
    text.highlight_regex(r"large_amount|\"amount\":[0-9.]+", "bold red")
    text.highlight_regex(r"[0-9.]+ USD is at least [0-9.]+ USD\.", "bold yellow")
    text.highlight_regex(r"= .*", "bold cyan")
    return text


def main() -> None:
    """Runs both commands, and draws what they print."""
    console = Console(record=True, width=_WIDTH, file=Path("/dev/null").open("w"))  # noqa: SIM115
    for shown, lines in (
        ("kafka-console-consumer --topic streaming.transactions.fraud ...", frauds(2)),
        ("./test/run.sh", output_of(str(ROOT / "test" / "run.sh"))),
    ):
        console.print(Text(f"$ {shown}", style="bold green"))
        for line in lines:
            console.print(coloured(line))
        console.print()
    picture = console.export_svg(title="streaming fraud detector")
    # The fonts of the reader's machine do; the picture loads none.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (ROOT / "imgs" / "run.svg").write_text(picture)


if __name__ == "__main__":
    main()
