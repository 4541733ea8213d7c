"""The inline tests of a rule, read from YAML."""

import re
from collections.abc import Iterator
from decimal import Decimal

from detector.rules.file.nodes import YamlNode, fields, listed, scalar
from detector.rules.language.diagnostics import Diagnostics
from detector.rules.language.tree import InlineTest, Payment
from detector.rules.language.values import DURATION_FORM, MONEY_FORM, read_duration, read_money

CURRENCY = re.compile("[A-Z]{3}")
_ACCOUNT = re.compile("[A-Za-z0-9._:-]{1,64}")
_MAX_REPEAT = 2_000
_MAX_PAYMENTS = 50_000  # in a file: its tests run whenever it is loaded
_DEFAULTS = {"source": "account", "target": "payee", "currency": "USD"}
_OPTIONAL = {*_DEFAULTS, "repeat", "every", "fires", "reason"}


class InlineTestReader:
    """Reads the tests of all rules of one file. What is wrong goes to `mistakes`; what is given
    back is of use only when there is none in the end."""

    def __init__(self, mistakes: Diagnostics) -> None:
        self._mistakes = mistakes
        self._payments = 0

    def cases(self, node: YamlNode) -> tuple[InlineTest, ...]:
        """The tests that a list holds."""
        found: dict[str, InlineTest] = {}
        for each in listed(node, "tests", self._mistakes):
            case = self._case(each)
            if case.name in found:
                self._mistakes.add(each.location, f'a second test "{case.name}"')
            found[case.name] = case
        return tuple(found.values())

    def _case(self, node: YamlNode) -> InlineTest:
        given = fields(node, "a test", ["name", "payments"], [], self._mistakes)
        payments: list[Payment] = []
        if "payments" in given:
            for each in listed(given["payments"], "payments", self._mistakes):
                payments += self._repeated(each)
        name = self._text(given, "name") or f"on line {node.location.line}"
        return InlineTest(name, tuple(payments), node.location.line)

    def _repeated(self, node: YamlNode) -> Iterator[Payment]:
        given = fields(node, "a payment", ["at", "amount"], _OPTIONAL, self._mistakes)
        start, every = self._duration(given, "at"), self._duration(given, "every")
        repeat = self._repeat(given)
        if "every" in given and "repeat" not in given:
            self._mistakes.add(given["every"].location, '"every" is for payments that repeat')
        self._payments += repeat
        if self._payments > _MAX_PAYMENTS:
            self._mistakes.add(node.location, f"more than {_MAX_PAYMENTS} payments in the file")
            return
        amount, fires = self._amount(given), self._fires(given)
        names = [self._name(given, key) for key in ("source", "target", "currency")]
        reason = self._reason(given, fires=fires)
        for n in range(repeat):
            source, target = [name.replace("{n}", str(n + 1)) for name in names[:2]]
            at = start + n * every
            line = node.location.line
            yield Payment(at, amount, source, target, names[2], fires, reason, line)

    def _text(self, given: dict[str, YamlNode], key: str) -> str | None:
        found = scalar(given[key], key, self._mistakes) if key in given else None
        return found.text if found else None

    def _wrong(self, given: dict[str, YamlNode], key: str, wanted: str) -> None:
        text = getattr(given[key], "text", "")
        self._mistakes.add(given[key].location, f'{key} is "{text}", it must be {wanted}')

    def _duration(self, given: dict[str, YamlNode], key: str) -> int:
        text = self._text(given, key)
        length = read_duration(text) if text else 0
        if length is None:
            self._wrong(given, key, DURATION_FORM)
        return length or 0

    def _amount(self, given: dict[str, YamlNode]) -> Decimal:
        text = self._text(given, "amount")
        amount = read_money(text) if text else None
        if text and amount is None:
            self._wrong(given, "amount", MONEY_FORM)
        return amount or Decimal(0)

    def _repeat(self, given: dict[str, YamlNode]) -> int:
        text = self._text(given, "repeat")
        if text is None:
            return 1
        number = int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
        if not 1 <= number <= _MAX_REPEAT:
            self._wrong(given, "repeat", f"a whole number from 1 to {_MAX_REPEAT}")
        return number

    def _fires(self, given: dict[str, YamlNode]) -> bool:
        text = self._text(given, "fires")
        if text not in {None, "true", "false"}:
            self._wrong(given, "fires", "true or false")
        return text == "true"

    def _reason(self, given: dict[str, YamlNode], *, fires: bool) -> str | None:
        text = self._text(given, "reason")
        if text is not None and not fires:
            self._mistakes.add(
                given["reason"].location, "a reason is given where fires: true stands"
            )
        return text

    def _name(self, given: dict[str, YamlNode], key: str) -> str:
        text = self._text(given, key) or _DEFAULTS[key]
        if key == "currency":
            if not CURRENCY.fullmatch(text):
                self._wrong(given, key, "three capital letters, such as USD")
        elif not _ACCOUNT.fullmatch(text.replace("{n}", str(_MAX_REPEAT))):
            self._wrong(given, key, "1 to 64 ASCII letters, digits, or - _ . :")
        return text
