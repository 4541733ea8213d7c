"""The rules topic, read and written, and followed, on a cluster in memory."""

import pytest
import structlog
from detecting import wait_until
from list_world import ListWorld
from rulebooks import large_amount

from detector.rules.file.loading import RulesError, load
from detector.service.following import Following
from detector.service.metrics import Metrics
from detector.service.published import Activation, Current, RulesTopic, write_current, write_file
from service_kit.settings import SettingsError

TEXTS = [large_amount(limit) for limit in (900, 500)]
HIGH, LOW = map(load, TEXTS)


@pytest.fixture
def world() -> ListWorld:
    world = ListWorld(RULES_TOPIC="detector.rules")
    for book, text in zip((HIGH, LOW), TEXTS, strict=True):
        write_file(world.settings, book.version, text, world.cluster)
    return world


def activate(world: ListWorld, current: Current) -> None:
    write_current(world.settings, current, world.cluster)


def test_files_and_the_current_version_are_read_back(world: ListWorld) -> None:
    activate(world, Current(HIGH.version, by="ana", why="first"))
    published = RulesTopic(world.settings, world.cluster).read_all()
    assert {*published.files} == {HIGH.version, LOW.version}
    assert published.current == Current(HIGH.version, by="ana", why="first")
    assert published.book(LOW.version) == LOW


def test_a_version_under_which_other_rules_were_published_can_not_be_used(world: ListWorld) -> None:
    write_file(world.settings, HIGH.version, TEXTS[1], world.cluster)
    published = RulesTopic(world.settings, world.cluster).read_all()
    with pytest.raises(RulesError, match="what was published under it is version"):
        published.book(HIGH.version)
    with pytest.raises(RulesError, match="no rules were published under this version"):
        published.book("0" * 12)


def test_of_two_who_activate_at_once_both_learn_of_the_other(world: ListWorld) -> None:
    first, second = (RulesTopic(world.settings, world.cluster) for _ in range(2))
    first.read_all()
    second.read_all()
    high, low = Current(HIGH.version), Current(LOW.version)
    assert first.make_current(high) == [high]
    assert second.make_current(low) == [high, low]


def test_rolling_back_goes_through_the_versions_before() -> None:
    high = Current(None).followed_by(HIGH.version, Activation("ana", 1, "first"))
    low = high.followed_by(LOW.version)
    assert low.before == (HIGH.version, None)
    back = low.rolled_back()
    assert back is not None
    assert (back.version, back.before) == (HIGH.version, (None,))
    assert Current(None).rolled_back() is None


def test_without_a_topic_it_says_which_setting_is_lacking() -> None:
    world = ListWorld()
    with pytest.raises(SettingsError, match="RULES_TOPIC is not set"):
        RulesTopic(world.settings, world.cluster)


def test_activations_are_followed_and_what_can_not_be_used_is_refused(world: ListWorld) -> None:
    activate(world, Current(HIGH.version))
    metrics = Metrics(lambda: 0.0)
    of_the_file = load(large_amount(100))
    with structlog.testing.capture_logs() as lines:
        following = Following(world.settings, metrics, of_the_file, world.cluster)
        following.begin()
        try:
            assert following.take_update() == HIGH
            assert following.take_update() is None
            activate(world, Current(LOW.version))
            assert wait_until(following.take_update, "the next version") == LOW
            activate(world, Current("0" * 12))
            wait_until(lambda: any("refused" in it["event"] for it in lines), "it is refused")
            activate(world, Current(None))
            assert wait_until(following.take_update, "the rules of the file") == of_the_file
        finally:
            following.close()
    assert metrics.registry.get_sample_value("detector_rules_refused_total") == 1


def test_where_the_current_version_can_not_be_used_the_one_before_counts(world: ListWorld) -> None:
    activate(world, Current("0" * 12, before=(LOW.version,)))
    following = Following(
        world.settings, Metrics(lambda: 0.0), load(large_amount(100)), world.cluster
    )
    following.begin()
    try:
        assert following.take_update() == LOW
    finally:
        following.close()
