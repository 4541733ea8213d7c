"""An account in memory and as it is saved: how large it is, and what its payees are called."""

import sys

from hypothesis import given
from hypothesis import strategies as st
from rulebooks import shipped

from detector.rules.engine.account import Account, payee_of

RULES = shipped()
names = st.text(st.characters(codec="ascii"), min_size=12, max_size=12).map(str.encode)


def an_account(payments: int) -> Account:
    account = RULES.layout.new(0, b"USD", 0)
    evaluate = RULES.evaluators[b"USD"]
    for n in range(payments):
        evaluate(account, n * 60_000, 100, b"payee-%06d" % n, b"USD", b"account-0001")
    return account


def test_an_account_of_four_payments_takes_little_memory_and_less_as_it_is_saved() -> None:
    account = an_account(4)
    assert sys.getsizeof(account) < 700
    assert len(RULES.layout.packed(account, 4)) < 200


def test_what_is_saved_of_an_account_does_not_grow_with_all_that_it_ever_paid() -> None:
    few, many = (an_account(payments) for payments in (2_000, 4_000))
    sizes = {len(RULES.layout.packed(account, 0)) for account in (few, many)}
    assert max(sizes) < 1.02 * min(sizes)


@given(name=names, other=names, at=st.integers(0, 4))
def test_names_that_differ_within_eight_characters_have_different_numbers(
    name: bytes, other: bytes, at: int
) -> None:
    near = name[:at] + other[at : at + 8] + name[at + 8 :]
    assert (payee_of(near) == payee_of(name)) == (near == name)
    assert -(1 << 63) <= payee_of(name) < 1 << 63
