"""What is owed to the other side."""

import threading
import weakref

import pytest

from pellucid.errors import InsecureJelly
from pellucid.limits import Limits
from pellucid.releases import Debt, Releases


class Holder:
    """The queue, and how often it woke somebody."""

    def __init__(self, **limits: int) -> None:
        self.woken = 0
        self.releases = Releases(Limits(**limits), self)
        # As whoever takes something in.
        self.releases.check()

    def wake(self) -> None:
        self.woken += 1

    def take(self) -> list[Debt]:
        return self.releases.take(1000)

    def owes(self) -> bool:
        return self.releases.owes


class Gone:
    """Something that went away, or an occurrence that is refused."""

    def __init__(self, holder: Holder, debt: Debt = 1, count: int = 1) -> None:
        self.holder = holder
        self.debt = debt
        self.count = count

    def settle(self) -> None:
        self.holder.releases.owe(self.debt, self.count)

    def refuse(self) -> None:
        self.count -= 1


def test_what_went_away_is_owed_for() -> None:
    holder = Holder()
    assert not holder.owes()
    holder.releases.report(Gone(holder, 1, 2))
    holder.releases.report(Gone(holder, b"two"))
    holder.releases.report(Gone(holder, (3,)))
    assert holder.owes()
    assert holder.woken == 1
    assert sorted(holder.take(), key=repr) == [(3,), 1, 1, b"two"]
    assert not holder.owes()
    holder.releases.report(Gone(holder))
    assert holder.woken == 2


def test_an_object_and_a_cache_may_have_the_same_id() -> None:
    holder = Holder()
    holder.releases.owe(1, 1)
    holder.releases.owe((1,), 2)
    holder.releases.owe(1, 1)
    assert sorted(holder.take(), key=repr) == [(1,), (1,), 1, 1]


def test_what_is_taken_is_cut() -> None:
    holder = Holder()
    holder.releases.owe(1, 3)
    holder.releases.owe(2, 2)
    taken = [holder.releases.take(2) for _ in range(4)]
    assert [len(part) for part in taken] == [2, 2, 1, 0]
    assert sorted((debt for part in taken for debt in part), key=repr) == [1, 1, 1, 2, 2]


def test_a_refused_message() -> None:
    holder = Holder()
    counted = Gone(holder, 1, 5)
    holder.releases.take_in(counted)
    holder.releases.refuse([1, (2,), 1])
    assert counted.count == 4
    assert holder.woken == 1
    assert sorted(holder.take(), key=repr) == [(2,), 1, 1]
    holder.releases.refuse([])
    assert (counted.count, holder.woken) == (4, 1)


def test_what_went_away_before_a_message_was_refused_is_released_before() -> None:
    holder = Holder()
    holder.releases.report(Gone(holder, 7))
    holder.releases.refuse([1])
    assert holder.take() == [7, 1]


def test_a_message_that_was_read() -> None:
    holder = Holder()
    counted, other = Gone(holder, 1, 5), Gone(holder, 2)
    holder.releases.commit()
    holder.releases.take_in(counted)
    holder.releases.take_in(other)
    holder.releases.commit()
    holder.releases.refuse([])
    assert (counted.count, other.count) == (5, 1)


def test_there_is_room_for_as_many_as_may_be_held() -> None:
    holder = Holder(references_held=2)
    holder.releases.owe(1, 100)
    room = [holder.releases.has_room]
    holder.releases.owe(2, 1)
    room.append(holder.releases.has_room)
    holder.take()
    room.append(holder.releases.has_room)
    assert room == [True, False, True]


def test_when_the_connection_is_over_nothing_is_owed() -> None:
    holder = Holder()
    holder.releases.owe(1, 1)
    holder.releases.report(Gone(holder))
    holder.releases.take_in(Gone(holder))
    holder.releases.check()
    holder.releases.clear()
    assert holder.take() == []
    holder.releases.report(Gone(holder))
    holder.releases.wake()
    holder.releases.refuse([1, (2,)])
    assert not holder.owes()
    with pytest.raises(InsecureJelly, match="has ended"):
        holder.releases.check()
    assert holder.woken == 1


def test_things_go_away_in_any_thread() -> None:
    holder = Holder()
    begin = threading.Barrier(4)

    def drop(first: int) -> None:
        begin.wait()
        for debt in range(first, 400, 4):
            holder.releases.report(Gone(holder, debt))

    threads = [threading.Thread(target=drop, args=(n,)) for n in range(4)]
    taken: list[Debt] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += holder.releases.take(7)
    for thread in threads:
        thread.join()
    while holder.owes():
        taken += holder.releases.take(7)
    assert sorted(taken, key=lambda debt: debt if isinstance(debt, int) else -1) == list(range(400))


def test_taking_in_more_loses_nothing_that_went() -> None:
    holder = Holder()
    holder.releases.report(Gone(holder, 5))
    holder.releases.check()
    assert holder.take() == [5]


def test_what_went_first_is_released_first() -> None:
    releases = Holder().releases
    for luid in (3, 1, 2):
        releases.owe(luid, 2)
    assert releases.take(3) == [3, 3, 1]
    releases.owe(3, 1)
    assert releases.take(9) == [1, 2, 2, 3]


def test_other_limits() -> None:
    holder = Holder(references_held=1)
    holder.releases.owe(1, 1)
    assert not holder.releases.has_room
    holder.releases.use(Limits(references_held=2))
    assert holder.releases.has_room


def test_an_owner_that_is_forgotten_is_kept_by_nothing() -> None:
    holder = Holder()
    releases, gone = holder.releases, Gone(holder)
    holder.releases.owe(1, 1)
    releases.clear()
    releases.leave()
    # What goes away behind the end wakes nobody.
    releases.report(gone)
    releases.wake()
    assert (releases.owes, releases.take(9), holder.woken) == (False, [], 0)
    forgotten = weakref.ref(holder)
    del holder, gone
    assert forgotten() is None
