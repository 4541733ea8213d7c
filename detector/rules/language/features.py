"""What an expression can ask of a record and its account; the one table of it."""

from dataclasses import dataclass
from enum import StrEnum

from detector.rules.language.tree import Kind


class Argument(StrEnum):
    """What a feature wants to be told."""

    WINDOW = "window"  # a duration that is known before any record is: a parameter or a literal
    LOW = "low"  # money
    HIGH = "high"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Signature:
    """The type of a feature, and the arguments that it takes."""

    type: Kind
    arguments: tuple[Argument, ...] = ()


_window = Argument.WINDOW

FEATURES = {
    # of the record
    "amount": Signature(Kind.MONEY),
    "currency": Signature(Kind.STRING),
    "source": Signature(Kind.STRING),
    "target": Signature(Kind.STRING),
    # of the account's records in the window, this one included; all but count and
    # distinct_targets look at those of the record's currency only
    "count": Signature(Kind.INT, (_window,)),
    "sum": Signature(Kind.MONEY, (_window,)),
    "distinct_targets": Signature(Kind.INT, (_window,)),
    "count_between": Signature(Kind.INT, (_window, Argument.LOW, Argument.HIGH)),  # low <= x < high
    "count_equal": Signature(Kind.INT, (_window, Argument.AMOUNT)),
    # of all the account's earlier records; the middle three of those of the record's currency
    "since_last": Signature(Kind.DURATION),
    "history": Signature(Kind.INT),
    "mean_amount": Signature(Kind.MONEY),
    "stddev_amount": Signature(Kind.MONEY),
    "seen_target": Signature(Kind.BOOL),  # among the last 32 different ones
}
