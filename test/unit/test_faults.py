"""The fault suite's own judgement: what it calls lost, and what its table says."""

from pathlib import Path

from detecting import Topics
from faults.checker import of_the_memory, of_the_order, of_the_outcome
from faults.oracle import Expected, Headers, Stored, came_out
from faults.report import Report
from faults.run import Result, Survived
from faults.schedules import SCHEDULES

KILL = "SIGKILL of a detector"


def an_outcome(value: bytes, topic: str = "legit") -> Expected:
    return Expected(topic, (0, b"key", value, ()), ())


def test_what_is_missing_is_lost_what_is_there_twice_repeated_and_the_rest_altered() -> None:
    one, two = an_outcome(b"1"), an_outcome(b"2")
    assert of_the_outcome([one, two], [two, one]) == []
    (lost,) = of_the_outcome([one, two], [two])
    (repeated,) = of_the_outcome([one, two], [two, one, two])
    assert (lost.split(":")[0], repeated.split(":")[0]) == ("lost", "repeated")
    found = of_the_outcome([one, two], [two, an_outcome(b"1", "fraud")])
    assert [problem.split(":")[0] for problem in found] == ["lost", "altered"]


TOPICS = Topics("nowhere", "in", "legit", "fraud", "dead", "state")


def stored(topic: str, offset: int, value: bytes, headers: Headers = ()) -> Stored:
    return Stored(topic, 0, offset, 0, b"key", value, headers)


def order_of(values: list[bytes], judged: list[bytes]) -> list[str]:
    inputs = [stored("in", offset, value) for offset, value in enumerate(values)]
    results = [stored("legit", offset, value) for offset, value in enumerate(judged)]
    expected = [came_out(stored("legit", 0, value)) for value in values]
    return of_the_order(inputs, expected, results)


def test_a_record_that_is_in_the_input_twice_may_come_out_twice_in_the_order_of_the_input() -> None:
    twice = [b"1", b"2", b"1"]
    assert order_of(twice, twice) == []
    assert order_of(twice, [b"1", b"1", b"2"]) == ["out of order: 1, as in/0/1 in legit/0/2"]


def test_each_verdict_must_be_what_a_replay_says_of_the_record_or_of_its_repetition() -> None:
    first, again = (
        (("judged", b"in/0/%d;rules=0123456789ab" % offset), ("shadow_rules", rule))
        for offset, rule in enumerate((b"unfamiliar_payee", b"fan_out"))
    )
    wanted: dict[Stored, Headers] = {stored("in", 0, b"1"): first, stored("in", 1, b"1"): again}
    results = [stored("legit", 0, b"1", first), stored("legit", 1, b"1", again)]
    assert [*of_the_memory(wanted, results, TOPICS)] == []
    (wrong,) = of_the_memory(wanted, [stored("legit", 2, b"1")], TOPICS)
    assert wrong.startswith("another verdict than a replay's: 1, as legit/0/2")


def a_report(document: Path, *problems: str, seconds: float = 12.0) -> Report:
    document.write_text("# Head\n<!-- short -->\nold\n<!-- end of short -->\ntail\n")
    report = Report("short")
    survived = [Survived(KILL, 11.0, 15.0), Survived(KILL, seconds, 15.0)]
    report.add(Result("detectors", 1, survived, records=100, problems=[*problems]))
    report.write(document)
    return report


def test_the_table_takes_the_old_ones_place_and_says_what_the_count_bounds(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    a_report(document)
    text = document.read_text()
    assert text.startswith("# Head\n<!-- short -->\n")
    assert text.endswith("<!-- end of short -->\ntail\n")
    assert "old" not in text
    assert f"| {KILL} | 2 | 11.5 | 12.0 | 15 | 0 |" in text
    assert "with 95 % confidence" not in text  # so few bound nothing
    assert "100 records" in text


def test_a_missed_time_fails_where_times_are_strict_and_a_lost_record_always(
    tmp_path: Path,
) -> None:
    late = a_report(tmp_path / "late", seconds=16.0)
    assert (late.status(strict_times=False), late.status(strict_times=True)) == (0, 1)
    wrong = a_report(tmp_path / "wrong", "lost: 1")
    assert wrong.status(strict_times=False) == 1


def test_a_control_that_is_not_caught_fails() -> None:
    report = Report("short")
    report.control(Result("without-1", 1), "repeated: 3")
    assert report.status(strict_times=False) == 0
    report.control(Result("without-2", 1), None)
    assert report.status(strict_times=False) == 1


def test_a_seed_chooses_the_same_faults_again() -> None:
    (mix,) = (schedule for schedule in SCHEDULES if schedule.name == "mix")
    assert mix.chosen(7) == mix.chosen(7)
    assert mix.chosen(7) != mix.chosen(8)
    assert len(mix.chosen(7)) == mix.pick
