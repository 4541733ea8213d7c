"""Rules as checked values: what a rules file says once it has been read and found right.

`file` makes these from YAML, `expression` from the text of a condition; `compiler` makes one
Python function from them. Nothing here is wrong any more: names are known, types fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """The type of an expression."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    MONEY = "money"  # minor units of the record's currency; whole, unless it is a mean or a share
    DURATION = "duration"  # whole milliseconds


@dataclass(frozen=True, slots=True)
class ListOf:
    """The type of a list, all of whose elements have one type."""

    element: Kind


Type = Kind | ListOf


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it stands: bool, int, float or str; for a duration its milliseconds, and for
    money the amount in major units as a Decimal, in whatever currency the record has."""

    type: Kind
    value: bool | int | float | str | Decimal


@dataclass(frozen=True, slots=True)
class Parameter:
    """The value of one of the rule's parameters."""

    type: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Feature:
    """Something known of the record or its account, by name; `arguments` of a window or limits."""

    type: Kind
    name: str
    arguments: "tuple[Node, ...]" = ()


@dataclass(frozen=True, slots=True)
class Given:
    """In `when:`, what the rule observes, or its threshold: `name` is observed or threshold."""

    type: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`operator` is ! or -."""

    type: Kind
    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of * / % + - < <= > >= == != in && ||, as CEL writes them."""

    type: Kind
    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Choice:
    """condition ? yes : no"""

    type: Kind
    condition: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True)
class ListNode:
    """[a, b, ...]; it stands to the right of `in` only."""

    type: ListOf
    elements: "tuple[Node, ...]"


Node = Literal | Parameter | Feature | Given | Unary | Binary | Choice | ListNode


class Mode(StrEnum):
    """Whether a rule's matches move a record, are only tagged, or it isn't evaluated at all."""

    ACTIVE = "active"
    SHADOW = "shadow"
    OFF = "off"


ParameterValue = int | float | Mapping[str, Decimal]
"""An int or a float; a duration in milliseconds; or money: major units by currency, "*" for any
other."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a rule."""

    type: Kind
    value: ParameterValue


@dataclass(frozen=True, slots=True)
class Slot:
    """In a reason, what stands in braces: a parameter's name, or one of observed, threshold,
    currency, amount, source, target."""

    name: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of an inline test. `at_ms` is its event time; the amount is in major units;
    `fires` is what the test expects of the rule, and `reason` the sentence, if it says one."""

    at_ms: int
    amount: Decimal
    source: str
    target: str
    currency: str
    fires: bool
    reason: str | None
    line: int


@dataclass(frozen=True, slots=True)
class InlineTest:
    """An inline test: payments in offset order, repeats written out."""

    name: str
    payments: tuple[Payment, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `version` is 8 hex digits over all that decides its verdicts and reasons."""

    name: str
    mode: Mode
    params: Mapping[str, Param]
    observed: Node
    threshold: Node
    when: Node
    reason: tuple[str | Slot, ...]
    source: str
    tests: tuple[InlineTest, ...]
    version: str
    line: int
    window_ms: int | None  # the longest that it looks at; None for a rule without one

    def meant(self, node: Node) -> Node:
        """What stands behind `observed` or `threshold`; any other node stands for itself."""
        found: Node = getattr(self, node.name) if isinstance(node, Given) else node
        return found


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules of a file, in its order. `version` is 12 hex digits over all of them."""

    rules: tuple[Rule, ...]
    version: str
