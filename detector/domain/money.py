"""Money as an integer number of the currency's minor units, so that limits are met exactly."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_DEFAULT_DIGITS = 2
# ISO 4217: the currencies whose minor unit is not a hundredth.
_DIGITS = {
    code: places
    for places, codes in {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }.items()
    for code in codes.split()
}
_FORMS = [f"%d.%0{places}d" for places in range(5)]
_DOWN = Context(prec=28, rounding=ROUND_FLOOR)
_UP = Context(prec=28, rounding=ROUND_CEILING)


def digits(currency: str) -> int:
    """Decimal places of the currency's minor unit; 2 for one that ISO 4217 doesn't know."""
    return _DIGITS.get(currency, _DEFAULT_DIGITS)


def minor_units(amount: Decimal, currency: str) -> int:
    """The amount in minor units, rounded down: 899.999 USD never reaches 900 USD."""
    return int(_DOWN.scaleb(_DOWN.plus(amount), digits(currency)).to_integral_value(ROUND_FLOOR))


def least_minor_units(limit: Decimal, currency: str) -> int:
    """The smallest amount in minor units that is at least the limit."""
    return int(_UP.scaleb(_UP.plus(limit), digits(currency)).to_integral_value(ROUND_CEILING))


def format_amount(amount: int, currency: str) -> str:
    """Minor units as a decimal number of the currency, e.g. 90000 of USD as 900.00."""
    places = digits(currency)
    if not places:
        return str(amount)
    words: str = _FORMS[places] % divmod(abs(amount), 10**places)
    return f"-{words}" if amount < 0 else words
