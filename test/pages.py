"""The commands on a page of the documentation, typed; what they print is what the page shows."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Step:
    """A command and the lines that the page shows below it; or a block of YAML to append to the
    file that the command before has made."""

    command: str = ""
    shown: list[str] = field(default_factory=list)
    block: str = ""


def steps(page: str) -> Iterator[Step]:
    """The steps of a page, or of a part of it: `$` lines of its code blocks, and YAML blocks."""
    step, fence = None, None
    for line in page.splitlines():
        if fence is not None:
            if line == "```":
                yield Step(block=fence)
                fence = None
            else:
                fence += f"{line}\n"
        elif line == "```yaml":
            fence = ""
        elif line.startswith("    $ "):
            if step is not None:
                yield step
            step = Step(line.removeprefix("    $ "))
        elif line.startswith("    ") and step is not None:
            step.shown.append(line.removeprefix("    "))
        elif step is not None:
            yield step
            step = None
    if step is not None:
        yield step


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level, up to the next one."""
    _, _, rest = page.read_text().partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


_LIVE = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\d+\.\d\d USD", "AMOUNT USD"),
    (r"from \w+ to \w+", "from ACCOUNT to ACCOUNT"),
    (r"/\d/\d+", "/PARTITION/OFFSET"),
    (r"UTC by \S+@\S+", "UTC by WHO"),
    (r"judged:[^,]+,", "judged:RECORD,"),
    (r"  \(in shadow: [a-z_, ]+\)", ""),
    (r"(?m)^in shadow, without effect: .*\n?", ""),
)


def alike(text: str) -> str:
    """The text without what differs from one transaction of the generator to the next."""
    for pattern, name in _LIVE:
        text = re.sub(pattern, name, text)
    return text.rstrip()


_PLACE = re.compile(r"streaming\.transactions\.fraud/\d+/\d+")


def type_all(page: str, folder: Path, environment: Mapping[str, str]) -> int:
    """Types the commands of a page in a folder, and returns how many there were. Where one names a
    record of the page's, it is asked of the record that was printed last.

    Raises:
        AssertionError: a command prints something else than the page shows.
    """
    place, made, typed = "", folder, 0
    for step in steps(page):
        if step.block:
            with made.open("a") as file:
                file.write(step.block)
            continue
        command = _PLACE.sub(place, step.command) if place else step.command
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed, shown = done.stdout, "\n".join(step.shown)
        assert alike(printed) == alike(shown), f"{command} prints {printed}"
        found = _PLACE.findall(done.stdout)
        place = found[-1] if found else place
        made = folder / command.split()[-1]
        typed += 1
    return typed
