"""What each operator takes and gives; what isn't in these tables doesn't fit."""

from collections.abc import Mapping

from detector.rules.language.tree import Kind

_B, _I, _D, _S = Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING
_M, _T = Kind.MONEY, Kind.DURATION

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
UNARY = {("!", _B), ("-", _I), ("-", _D), ("-", _M), ("-", _T)}
# Both sides are of one type here, so that a number beside money is money.
OF_ONE_TYPE = {"+", "-", *COMPARISONS}
BINARY: Mapping[tuple[str, Kind, Kind], Kind] = {
    **{(operator, kind, kind): kind for operator in "+-*/" for kind in (_I, _D)},
    **{(operator, kind, kind): kind for operator in "+-" for kind in (_M, _T)},
    ("+", _S, _S): _S,
    ("%", _I, _I): _I,
    ("*", _M, _I): _M,
    ("*", _I, _M): _M,
    ("*", _M, _D): _M,
    ("*", _D, _M): _M,
    ("/", _M, _I): _M,
    ("/", _M, _D): _M,
    ("/", _M, _M): _D,
    ("*", _T, _I): _T,
    ("*", _I, _T): _T,
    ("/", _T, _I): _T,
    ("/", _T, _T): _D,
    **{(operator, kind, kind): _B for operator in COMPARISONS for kind in Kind},
    ("&&", _B, _B): _B,
    ("||", _B, _B): _B,
}
