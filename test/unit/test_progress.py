"""When partitions that wait are worth an alarm."""

from detector.service.progress import StallDetector


def alarm_after(*looks: tuple[float, list[int], bool]) -> StallDetector:
    """An alarm that has looked at these seconds, at partitions that waited, and at progress."""
    alarm = StallDetector(now_s=0.0)
    for now_s, waiting, progresses in looks:
        alarm.look(now_s, waiting, progresses=progresses)
    return alarm


def test_partitions_that_wait_for_twenty_seconds_are_no_reason_to_worry() -> None:
    assert alarm_after((0.0, [1], False), (20.0, [1], False)).stalled_s(20.0) == 0.0


def test_partitions_that_wait_for_longer_have_stalled() -> None:
    assert alarm_after((0.0, [1, 2], False), (20.5, [1, 2], False)).stalled_s(20.5) == 20.5


def test_where_other_partitions_wait_than_before_there_was_progress() -> None:
    assert alarm_after((0.0, [1, 2], False), (15.0, [2], False)).stalled_s(30.0) == 0.0


def test_a_partition_that_is_restored_is_progress() -> None:
    assert alarm_after((0.0, [1], False), (15.0, [1], True)).stalled_s(30.0) == 0.0


def test_where_none_waits_none_has_stalled() -> None:
    alarm = alarm_after((0.0, [1], False), (100.0, [], False))
    assert (alarm.stalled_s(100.0), alarm.waiting) == (0.0, [])
