"""The stream of random transactions: repeatable, even, and of one shape."""

import json
from collections import Counter

from generator.transactions import Transactions


def test_a_seed_gives_these_transactions_on_every_python() -> None:
    assert Transactions(10_000, seed=1).take(3).values == [
        b'{"source":"Qz5MMjTv7T1x","target":"QNP4ADATShBN","amount":730.85,"currency":"USD"}',
        b'{"source":"Ld9bPwVxbQ7c","target":"3FlRnV5jFjzM","amount":996.96,"currency":"USD"}',
        b'{"source":"mvn7aPp4arpA","target":"clbN7uI0tQQ2","amount":135.5,"currency":"USD"}',
    ]


def test_the_stream_does_not_depend_on_how_many_are_taken_at_once() -> None:
    whole = Transactions(50, seed=7).take(300).values
    pieces = Transactions(50, seed=7)
    assert [v for n in (1, 99, 150, 50) for v in pieces.take(n).values] == whole


def test_without_a_seed_every_stream_is_another_one() -> None:
    assert Transactions(50).take(10).values != Transactions(50).take(10).values


def test_accounts_are_twelve_letters_and_digits_and_differ() -> None:
    accounts = Transactions(1_000, seed=1).accounts
    assert len(set(accounts)) == 1_000
    assert all(len(name) == 12 and name.isascii() and name.isalnum() for name in accounts)


def test_an_account_comes_back_and_never_pays_itself() -> None:
    chunk = Transactions(2, seed=1).take(200)
    pairs = Counter((json.loads(v)["source"], json.loads(v)["target"]) for v in chunk.values)
    assert len(pairs) == 2
    assert all(source != target for source, target in pairs)
    assert [json.loads(value)["source"] for value in chunk.values] == list(chunk.sources)


def test_amounts_run_evenly_from_1_to_1000_in_cents() -> None:
    amounts = [json.loads(v)["amount"] for v in Transactions(2, seed=3).take(200_000).values]
    assert min(amounts) >= 1
    assert max(amounts) <= 1000
    assert all(round(amount * 100) / 100 == amount for amount in amounts)
    share = sum(amount >= 900 for amount in amounts) / len(amounts)
    assert abs(share - 10_001 / 99_901) < 0.003  # over four standard deviations
