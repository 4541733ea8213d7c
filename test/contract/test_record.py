"""The record is what the services share: one writes it, the other reads it."""

from pathlib import Path

from detector.transaction import Transaction, parse
from generator.transactions import Transactions

SAMPLE = (Path(__file__).parent / "sample_transactions.jsonl").read_bytes().splitlines()


def test_the_generator_writes_the_sample() -> None:
    assert Transactions(10_000, seed=1).take(len(SAMPLE)).values == SAMPLE


def test_the_detector_reads_the_sample() -> None:
    assert [parse(line) for line in SAMPLE] == [
        Transaction("MpmA7iNPobN4", "qe65WycKJSc9", 73_085, "USD"),
        Transaction("TlGNVrzes2KL", "9kNo5DknJUf6", 99_696, "USD"),
        Transaction("Aej94Qq2exs2", "xkxtp6roOhlz", 13_550, "USD"),
        Transaction("9smKq67YNKqD", "4RQ9BYTShh7x", 95_217, "USD"),
        Transaction("nJ3qfAehITWG", "Aej94Qq2exs2", 29_333, "USD"),
    ]


def test_the_detector_reads_whatever_the_generator_writes() -> None:
    written = Transactions(100).take(5_000).values
    assert all(isinstance(parse(value), Transaction) for value in written)


def test_the_readme_shows_the_sample() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert SAMPLE[1].decode() in readme
