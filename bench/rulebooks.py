"""Rules files for what is measured: chosen rules of the detector's own file, in one mode."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.environments import WORK
from detector.service.settings import RULES_FILE


@dataclass(frozen=True)
class Chosen:
    """These rules, or all, of those that ship, active, or as they are."""

    name: str
    rules: tuple[str, ...] = ()
    all_active: bool = True

    @property
    def path(self) -> Path:
        """Where `write` puts the file."""
        return WORK / "rules" / f"{self.name}.yaml"

    def write(self) -> Path:
        """Writes the file again, without the tests in it, and returns its path."""
        book = yaml.safe_load(RULES_FILE.read_text())
        book["rules"] = [self._copy(rule) for rule in book["rules"] if self._has(rule["name"])]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(yaml.safe_dump(book, sort_keys=False, allow_unicode=True))
        return self.path

    def _has(self, name: str) -> bool:
        return name in self.rules or not self.rules

    def _copy(self, rule: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in rule.items() if key != "tests"}
        return {**kept, "mode": "active"} if self.all_active else kept


ORIGINAL = Chosen("original", ("large_amount",))
VELOCITY = Chosen("velocity", ("count_velocity", "sum_velocity", "fan_out"))
TEN = Chosen("ten")
SHIPPED = Chosen("shipped", all_active=False)
