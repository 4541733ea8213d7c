"""The record is what the services share: one writes it, the other reads it."""

from pathlib import Path

from rulebooks import shipped, verdict_on

from detector.wire.headers import verdict_headers
from detector.wire.transaction import Transaction, parse
from generator.transactions import Transactions

SAMPLE = (Path(__file__).parent / "sample_transactions.jsonl").read_bytes().splitlines()


def test_the_generator_writes_the_sample() -> None:
    assert Transactions(10_000, seed=1).take(len(SAMPLE)).values == SAMPLE


def test_the_detector_reads_the_sample() -> None:
    assert [parse(line) for line in SAMPLE] == [
        Transaction(b"Qz5MMjTv7T1x", b"QNP4ADATShBN", 73_085, b"USD"),
        Transaction(b"Ld9bPwVxbQ7c", b"3FlRnV5jFjzM", 99_696, b"USD"),
        Transaction(b"mvn7aPp4arpA", b"clbN7uI0tQQ2", 13_550, b"USD"),
        Transaction(b"JAPeezlUNJ0h", b"y7VhWlMvDjn5", 95_217, b"USD"),
        Transaction(b"DsX3B5TjxOj6", b"mvn7aPp4arpA", 29_333, b"USD"),
    ]


def test_the_detector_reads_whatever_the_generator_writes() -> None:
    written = Transactions(100).take(5_000).values
    assert all(isinstance(parse(value), Transaction) for value in written)


def test_the_readme_shows_the_sample() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert SAMPLE[1].decode() in readme


def test_the_readme_shows_the_verdict_on_the_sample() -> None:
    transaction = parse(SAMPLE[1])
    assert isinstance(transaction, Transaction)
    headers = verdict_headers(verdict_on(shipped(), transaction))
    assert headers
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name, content in headers.decoded():
        assert f"    {name}: {(content or b'').decode()}\n" in readme
