"""Random transactions from a pool of accounts: the contract's writing side.

Every column has a random number generator of its own, and draws through `random()` alone, the one
method whose sequence Python promises to keep. So a seed gives the same stream of values on every
Python, however many are taken at a time.
"""

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from faker import Faker

_ACCOUNT = 12  # letters and digits
_CHUNK_SIZE = 1_000  # accounts
_LETTERS = string.ascii_letters + string.digits
_AMOUNTS = range(100, 100_001)  # in hundredths: 1.00 to 1000.00


class Transaction(msgspec.Struct):
    """The record's value; its JSON has the fields in this order."""

    source: str
    target: str
    amount: float
    currency: str


@dataclass(frozen=True)
class Chunk:
    """Transactions as columns of equal length."""

    sources: Sequence[str]
    values: Sequence[bytes]


class Transactions:
    """An endless stream of transactions between the accounts of a pool.

    Source and target are different accounts, drawn evenly; the amount is
    `randint(100, 100000) / 100`, the currency US dollars.
    """

    def __init__(self, accounts: int, seed: int | None = None) -> None:
        """`accounts` is at least 2; without a seed the stream is another one each time."""
        root = random.SystemRandom().getrandbits(64) if seed is None else seed
        self.accounts = _pool(accounts, root)
        self._source, self._target, self._amount = (
            random.Random(f"{root} {column}")  # noqa: S311  # not for secrets
            for column in ("source", "target", "amount")
        )
        self._encode = msgspec.json.Encoder().encode

    def take(self, count: int) -> Chunk:
        """The next `count` transactions."""
        accounts, encode = self.accounts, self._encode
        size = len(accounts)
        sources = self._source.choices(range(size), k=count)
        steps = self._target.choices(range(1, size), k=count)
        amounts = self._amount.choices(_AMOUNTS, k=count)
        names = [accounts[source] for source in sources]
        return Chunk(
            names,
            [
                encode(Transaction(name, accounts[(source + step) % size], cents / 100, "USD"))
                for name, source, step, cents in zip(names, sources, steps, amounts, strict=True)
            ],
        )


def _pool(accounts: int, seed: int) -> list[str]:
    """Different accounts. Many are drawn at once: Faker's `lexify` takes 24 µs for each, and
    draws in a way whose sequence Python doesn't promise to keep."""
    faker = Faker()
    faker.seed_instance(seed)
    pool: dict[str, None] = {}
    while len(pool) < accounts:
        count = min(_CHUNK_SIZE, accounts - len(pool))
        letters = "".join(faker.random_elements(_LETTERS, length=count * _ACCOUNT))
        pool.update((letters[n : n + _ACCOUNT], None) for n in range(0, len(letters), _ACCOUNT))
    return list(pool)
