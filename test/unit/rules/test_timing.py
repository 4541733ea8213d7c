"""What rules cost can be measured, on payments that look like those of accounts."""

from itertools import pairwise

from rulebooks import SHIPPED

from detector.rules.file.loading import load_file
from detector.rules.language.tree import Mode
from detector.rules.tools.simulation import PAYMENTS_A_DAY, START_MS, Payments, Simulation
from detector.rules.tools.timing import all_active, time_rules, with_further

BOOK = load_file(SHIPPED)
DAY_MS = 86_400_000


def test_a_seed_gives_the_same_payments() -> None:
    first, again, other = (Simulation(100, seed).take(500) for seed in (1, 1, 2))
    assert first == again != other


def test_an_account_pays_twenty_times_a_day() -> None:
    accounts, days = 50, 3
    simulation = Simulation(accounts, 1)
    chunks = [simulation.take(100) for _ in range(accounts * PAYMENTS_A_DAY * days // 100)]
    times = [time_ms for chunk in chunks for time_ms in chunk.times_ms]
    assert times[0] == START_MS
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert START_MS + days * DAY_MS - 10_000_000 < times[-1] < START_MS + days * DAY_MS


def test_payments_are_between_the_accounts_there_are_and_of_two_kinds() -> None:
    chunk = Simulation(50, 1).take(10_000)
    assert isinstance(chunk, Payments)
    assert {*chunk.sources, *chunk.targets} == {*range(50)}
    assert 0.1 < sum(cents >= 500_00 for cents in chunk.cents) / 10_000 < 0.14
    assert 0 < min(chunk.cents) < 25_00
    assert 900_00 < max(chunk.cents) <= 1_000_00


def test_the_rules_that_ship_are_timed_and_fire_on_about_a_tenth() -> None:
    figures = time_rules(all_active(BOOK), accounts=500, payments=20_000)
    assert figures.payments == 20_000
    assert 0.07 < figures.hits_share < 0.13
    assert figures.rules_us > 0
    assert figures.reasons_us > 0


def test_five_conditions_are_added_to_a_book_of_which_all_can_be_made_active() -> None:
    assert len(with_further(BOOK).rules) == len(BOOK.rules) + 5
    active = all_active(BOOK)
    assert {rule.mode for rule in active.rules} == {Mode.ACTIVE}
    assert active.version != BOOK.version
