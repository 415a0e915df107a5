"""Both tables of caches, by themselves: counts, ids, what is undone, what dies where and when."""

import copy
import gc
import pickle
import threading
from typing import Any

import pytest

from pellucid.caches import CacheExports, CacheImports, CacheObserver
from pellucid.errors import DeadReferenceError, InsecureJelly, LimitExceeded
from pellucid.events import Unobserved
from pellucid.flavors import Cacheable, RemoteCache, copy_has_size, copy_is_whole
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from pellucid.references import Ids
from pellucid.releases import Debt, Releases


class Stock(Cacheable):
    pass


class RemoteStock(RemoteCache):
    count = 0


class Owner:
    """A table of what is sent, and what it told."""

    def __init__(self, **limits: int) -> None:
        self.ledger = Ledger(Limits(**limits))
        self.ids = Ids()
        self.told: list[Unobserved] = []
        self.table = CacheExports(self.ledger, self.ids, self.make, self.told.append)

    def make(self, luid: int, perspective: Any) -> CacheObserver:
        return CacheObserver(self, luid, perspective)

    def send(self, obj: Any, perspective: Any = None) -> tuple[int, CacheObserver]:
        """A message with the first sending of an object."""
        luid, observer = self.table.send(obj, perspective)
        assert observer is not None
        self.ids.commit()
        return luid, observer

    def stop(self, luid: int) -> Unobserved:
        """The last copy goes, and the object has not been told yet."""
        assert self.table.decache(luid)
        (event,) = self.told
        self.told.clear()
        return event

    def prove_empty(self) -> None:
        assert self.told == []
        assert len(self.table) == 0
        assert self.ledger.used("caches_exported") == 0


class Holder:
    """A table of what came, and how often it woke somebody."""

    def __init__(self, **limits: int) -> None:
        self.ledger = Ledger(Limits(**limits))
        self.woken = 0
        self.releases = Releases(self.ledger.limits, self)
        self.table = CacheImports(self.ledger, self.releases)

    def wake(self) -> None:
        self.woken += 1

    def receive(self, luid: int | bytes, cls: type[RemoteCache] = RemoteStock) -> Any:
        """A message with the full form."""
        handle = self.table.receive(luid, cls)
        self.releases.commit()
        return handle

    def again(self, luid: int | bytes) -> Any:
        handle = self.table.receive_again(luid)
        self.releases.commit()
        return handle

    def take(self) -> list[Debt]:
        return self.releases.take(1000)

    def prove_empty(self) -> None:
        gc.collect()
        assert self.take() == []
        assert len(self.table) == 0
        assert self.ledger.used("caches_held") == 0


# An observer.


def test_an_observer_shows_its_id_only() -> None:
    assert repr(CacheObserver(None, 7, object())) == "<CacheObserver 7>"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_observer_stays_where_it_is(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="a CacheObserver belongs to its connection"):
        duplicate(CacheObserver(None, 7, None))


def test_observers_are_told_apart() -> None:
    one, other = CacheObserver(None, 7, None), CacheObserver(None, 7, None)
    assert one != other
    assert len({one, other, one}) == 2
    assert not hasattr(one, "write_jelly")


# What the other side has copies of.


def test_one_object_has_one_id_and_is_counted_at_each_occurrence() -> None:
    owner = Owner()
    first, second = Stock(), Stock()
    whose = object()
    luid, observer = owner.table.send(first, whose)
    assert observer is not None
    assert (luid, observer.luid, observer.perspective) == (1, 1, whose)
    assert owner.table.send(first, None) == (1, None)
    assert owner.table.send(second, None)[0] == 2
    owner.ids.commit()
    assert len(owner.table) == owner.ledger.used("caches_exported") == 2
    assert [owner.table.decache(1), owner.told] == [True, []]
    event = owner.stop(1)
    assert (event.target, event.perspective, event.observer) == (first, whose, observer)
    assert not owner.table.decache(1)
    assert owner.table.forget(event) == 1
    assert owner.table.forget(event) is None
    assert owner.table.forget(owner.stop(2)) == 2
    owner.prove_empty()


@pytest.mark.parametrize("luid", [77, -1, b"root", None])
def test_an_id_that_was_never_given_out(luid: object) -> None:
    owner = Owner()
    assert not owner.table.decache(luid)
    with pytest.raises(InsecureJelly, match="a cache that this side does not know"):
        owner.table.resolve_home(luid)


def test_objects_and_caches_share_their_ids() -> None:
    owner = Owner()
    assert owner.ids.take() == 1
    luid, _ = owner.send(Stock())
    assert luid == 2
    assert owner.ids.take() == 3
    owner.table.clear()
    owner.told.clear()
    owner.prove_empty()


def test_an_observer_may_be_told_of_changes_until_the_object_is_told() -> None:
    owner = Owner()
    _, observer = owner.send(Stock())
    event = owner.stop(1)
    observer.check()
    assert len(owner.table) == owner.ledger.used("caches_exported") == 1
    owner.table.forget(event)
    with pytest.raises(DeadReferenceError, match="no copy of this cache any more"):
        observer.check()
    owner.prove_empty()


def test_an_object_that_is_sent_again_has_a_new_id() -> None:
    owner = Owner()
    stock = Stock()
    owner.send(stock)
    event = owner.stop(1)
    # Also before it has been told.
    luid, observer = owner.send(stock)
    assert luid == 2
    assert observer is not event.observer
    assert owner.table.forget(event) == 1
    observer.check()
    owner.table.forget(owner.stop(2))
    owner.prove_empty()


def test_an_undone_first_sending_is_told_to_the_object() -> None:
    owner = Owner()
    old, new = Stock(), Stock()
    owner.send(old, 5)
    owner.table.send(old, None)
    _, observer = owner.table.send(new, 6)
    assert observer is not None
    owner.table.send(new, None)
    owner.ids.undo()
    (event,) = owner.told
    assert (event.target, event.perspective, event.observer) == (new, 6, observer)
    assert observer.stopped
    # The other side never knew of it.
    assert owner.table.forget(event) is None
    owner.told.clear()
    assert owner.send(Stock())[0] == 2
    for luid in (1, 2):
        owner.table.forget(owner.stop(luid))
    owner.prove_empty()


def test_too_many_caches() -> None:
    owner = Owner(caches_exported=1)
    stock = Stock()
    owner.send(stock)
    with pytest.raises(LimitExceeded, match=r"Maximum PB cache count exceeded\.") as caught:
        owner.table.send(Stock(), None)
    assert (caught.value.limit, caught.value.remote) == ("caches_exported", False)
    assert owner.table.send(stock, None) == (1, None)
    owner.ids.undo()
    event = owner.stop(1)
    # As long as it has not been told it counts.
    with pytest.raises(LimitExceeded):
        owner.table.send(stock, None)
    owner.table.forget(event)
    assert owner.send(stock)[0] == 2
    owner.table.forget(owner.stop(2))
    owner.prove_empty()


def test_an_observer_that_can_not_be_made_costs_nothing() -> None:
    owner = Owner()

    def refuse(luid: int, perspective: Any) -> CacheObserver:
        raise MemoryError

    table = CacheExports(owner.ledger, owner.ids, refuse, owner.told.append)
    with pytest.raises(MemoryError):
        table.send(Stock(), None)
    assert len(table) == 0
    assert owner.ids.take() == 1
    owner.prove_empty()


def test_a_cache_comes_home() -> None:
    owner = Owner()
    stock = Stock()
    owner.send(stock)
    assert owner.table.resolve_home(1) is stock
    event = owner.stop(1)
    assert owner.table.resolve_home(1) is stock
    owner.table.forget(event)
    # Behind its last decache as well.
    assert owner.table.resolve_home(1) is stock
    del stock, event
    gc.collect()
    with pytest.raises(InsecureJelly):
        owner.table.resolve_home(1)
    owner.prove_empty()


def test_when_the_connection_is_over_each_object_is_told_once() -> None:
    owner = Owner()
    kept, leaving = Stock(), Stock()
    _, observer = owner.send(kept, 5)
    owner.send(leaving)
    event = owner.stop(2)
    owner.table.clear()
    (told,) = owner.told
    assert (told.target, told.perspective, told.observer) == (kept, 5, observer)
    assert observer.stopped
    assert event.observer.stopped
    assert [owner.table.forget(one) for one in (event, told)] == [None, None]
    owner.told.clear()
    for luid in (1, 2):
        with pytest.raises(InsecureJelly):
            owner.table.resolve_home(luid)
    with pytest.raises(InsecureJelly, match="has ended"):
        owner.table.send(kept, None)
    owner.prove_empty()


# What we have copies of.


def test_one_id_is_one_copy_while_one_is_alive() -> None:
    holder = Holder()
    stock = holder.receive(7)
    assert type(stock) is RemoteStock
    assert holder.again(7) is holder.again(7) is stock
    assert holder.table.lookup(7) is stock
    assert len(holder.table) == holder.ledger.used("caches_held") == 1
    assert holder.take() == []
    del stock
    assert holder.woken == 1
    assert holder.take() == [(7,), (7,), (7,)]
    assert len(holder.table) == 1
    holder.table.uncache(7)
    holder.table.uncache(7)
    holder.prove_empty()


@pytest.mark.parametrize("luid", [8, b"7", -7, None])
def test_an_id_that_never_came(luid: Any) -> None:
    holder = Holder()
    stock = holder.receive(7)
    assert holder.table.lookup(luid) is None
    with pytest.raises(InsecureJelly, match="a cache that this side does not know"):
        holder.table.receive_again(luid)
    holder.table.uncache(luid)
    assert holder.table.lookup(7) is stock


def test_what_a_copy_knew_is_there_until_the_owner_forgets_it() -> None:
    holder = Holder()
    stock = holder.receive(7)
    stock.count = 5
    del stock
    assert holder.take() == [(7,)]
    # An update that was on its way.
    late = holder.table.lookup(7)
    assert type(late) is RemoteStock
    assert late.count == 5
    late.count = 6
    del late
    assert holder.take() == []
    # It was sent once more, before the owner saw the release.
    again = holder.again(7)
    assert again.count == 6
    assert holder.table.lookup(7) is again
    del again
    assert holder.take() == [(7,)]
    holder.table.uncache(7)
    holder.prove_empty()


def test_a_copy_that_is_looked_up_while_it_goes() -> None:
    holder = Holder()

    class Looked(RemoteStock):
        def __del__(self) -> None:
            super().__del__()
            if not found:
                # As a message in another thread would. This one can still be found.
                found.append(holder.again(7))

    found: list[Any] = []
    holder.receive(7, Looked).count = 5
    (stock,) = found
    assert stock.count == 5
    # What is owed for the one that went, and not for the new one.
    assert holder.take() == [(7,)]
    found.append(None)
    del stock, found[0]
    assert holder.take() == [(7,)]
    holder.table.uncache(7)
    holder.prove_empty()


def test_a_copy_whose_class_sets_no_attributes() -> None:
    class Frozen(RemoteCache):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    holder = Holder()
    frozen = holder.receive(7, Frozen)
    vars(frozen)["count"] = 5
    del frozen
    assert holder.table.lookup(7).count == 5  # type: ignore[union-attr]
    holder.table.uncache(7)
    assert holder.take() == [(7,)]
    holder.prove_empty()


def test_an_id_that_is_in_use() -> None:
    holder = Holder()
    stock = holder.receive(7)
    with pytest.raises(InsecureJelly, match="an id that is in use"):
        holder.table.receive(7, RemoteStock)
    assert holder.table.lookup(7) is stock


def test_too_many_copies() -> None:
    holder = Holder(caches_held=1)
    stock = holder.receive(7)
    with pytest.raises(LimitExceeded, match="too many caches held") as caught:
        holder.table.receive(8, RemoteStock)
    assert (caught.value.limit, caught.value.remote) == ("caches_held", True)
    del stock
    # Until the owner forgets it, it is held.
    with pytest.raises(LimitExceeded):
        holder.table.receive(8, RemoteStock)
    holder.table.uncache(7)
    assert holder.take() == [(7,)]
    assert holder.receive(8).count == 0
    holder.table.uncache(8)
    assert holder.take() == [(8,)]
    holder.prove_empty()


def test_a_refused_message_leaves_nothing_of_a_new_copy() -> None:
    holder = Holder()
    stray = holder.table.receive(7, RemoteStock)
    assert holder.table.receive_again(7) is stray
    holder.releases.refuse([(7,), (7,)])
    assert holder.take() == [(7,), (7,)]
    assert len(holder.table) == 0
    with pytest.raises(InsecureJelly, match="the other side has forgotten"):
        holder.table.home(stray)
    del stray
    holder.table.uncache(7)
    holder.prove_empty()


def test_a_refused_message_leaves_what_came_whole() -> None:
    holder = Holder()
    stray: Any = holder.table.receive(7, RemoteStock)
    stray.count = 5
    copy_is_whole(stray)
    assert holder.table.receive_again(7) is stray
    holder.releases.refuse([(7,), (7,)])
    del stray
    assert holder.take() == [(7,), (7,)]
    # It was sent once more, before the owner saw the release.
    again = holder.again(7)
    assert again.count == 5
    del again
    assert holder.take() == [(7,)]
    holder.table.uncache(7)
    holder.prove_empty()


def test_a_refused_message_leaves_the_copies_that_are_here() -> None:
    holder = Holder()
    stock = holder.receive(7)
    holder.table.receive_again(7)
    holder.releases.refuse([(7,)])
    assert holder.take() == [(7,)]
    assert holder.again(7) is stock
    del stock
    assert holder.take() == [(7,), (7,)]
    # Nobody holds it, and it is known until the owner forgets it.
    holder.table.receive_again(7)
    holder.releases.refuse([(7,)])
    assert holder.take() == [(7,)]
    assert len(holder.table) == 1
    holder.table.uncache(7)
    holder.prove_empty()


def test_a_copy_that_can_not_be_made() -> None:
    def fail() -> RemoteCache:
        raise MemoryError

    holder = Holder()
    with pytest.raises(MemoryError):
        holder.table.receive(7, fail)
    holder.releases.refuse([(7,)])
    assert holder.take() == [(7,)]
    holder.prove_empty()


def test_what_goes_home() -> None:
    holder, other = Holder(), Holder()
    stock, foreign = holder.receive(7), other.receive(7)
    assert holder.table.home(stock) == 7
    for stranger in (foreign, RemoteStock()):
        with pytest.raises(InsecureJelly, match="only over the connection it came from"):
            holder.table.home(stranger)
    holder.table.uncache(7)
    with pytest.raises(InsecureJelly, match="the other side has forgotten"):
        holder.table.home(stock)


def test_an_owner_that_forgets_what_is_in_use() -> None:
    holder = Holder()
    stock = holder.receive(7)
    holder.table.uncache(7)
    assert holder.table.lookup(7) is None
    del stock
    assert holder.take() == [(7,)]
    holder.prove_empty()


def test_copies_that_know_each_other() -> None:
    holder = Holder()
    parent, child = holder.receive(1), holder.receive(2)
    parent.child, child.parent = child, parent
    gc.collect()
    gc.disable()
    try:
        del parent, child
        assert holder.take() == []
        gc.collect()
    finally:
        gc.enable()
    assert sorted(holder.take(), key=repr) == [(1,), (2,)]
    again = holder.again(1)
    assert again.child.parent.child is again.child
    del again
    assert holder.take() == [(1,)]
    for luid in (1, 2):
        holder.table.uncache(luid)
    holder.prove_empty()


def test_a_copy_that_another_thread_is_about_to_report() -> None:
    """The collector clears weak references before it calls the first finalizer."""

    class Odd(RemoteCache):
        def __del__(self) -> None:
            seen.append(holder.table.lookup(7))
            super().__del__()
            seen.append(holder.table.lookup(7))

    seen: list[Any] = []
    holder = Holder()
    odd = holder.receive(7, Odd)
    odd.me, odd.count = odd, 5
    del odd
    gc.collect()
    first, second, *_ = seen
    assert first is None or first.count == 5
    assert second.count == 5
    del first, second
    seen.clear()
    holder.table.uncache(7)
    gc.collect()
    assert holder.take() == [(7,)]
    holder.prove_empty()


def test_a_class_that_forgets_its_base() -> None:
    class Odd(RemoteCache):
        def __del__(self) -> None:
            pass

    holder = Holder()
    del_me = holder.receive(7, Odd)
    del del_me
    # Its state is lost, and nobody is given an empty one for it.
    assert holder.table.lookup(7) is None
    holder.table.uncache(7)
    holder.prove_empty()


def test_copies_die_in_any_thread() -> None:
    holder = Holder()
    batches = [[holder.receive(luid) for luid in range(n, 400, 4)] for n in range(4)]
    begin = threading.Barrier(4)

    def drop(batch: list[Any]) -> None:
        begin.wait()
        while batch:
            batch.pop()

    threads = [threading.Thread(target=drop, args=(batch,)) for batch in batches]
    taken: list[Debt] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += holder.releases.take(7)
    for thread in threads:
        thread.join()
    taken += holder.take()
    assert sorted(taken, key=repr) == sorted(((luid,) for luid in range(400)), key=repr)
    for luid in range(400):
        holder.table.uncache(luid)
    holder.prove_empty()


def test_when_the_connection_is_over_nothing_is_owed() -> None:
    holder = Holder()
    kept, dead = holder.receive(1), holder.receive(2)
    kept.count = 5
    del dead
    holder.releases.clear()
    holder.table.clear()
    woken = holder.woken
    assert kept.count == 5
    with pytest.raises(InsecureJelly):
        holder.table.home(kept)
    del kept
    assert holder.woken == woken
    holder.prove_empty()


# How much is kept of what nobody uses.


def sized(holder: Holder, luid: int, size: int) -> Any:
    handle = holder.receive(luid)
    copy_has_size(handle, size)
    handle.count = luid
    return handle


def knows(holder: Holder) -> list[int]:
    return [luid for luid in range(1, 9) if holder.table.lookup(luid) is not None]


def test_what_went_first_is_forgotten_first() -> None:
    holder = Holder(cache_bytes=100)
    used = sized(holder, 1, 1000)
    for luid in (2, 3, 4):
        sized(holder, luid, 40)
    assert len(holder.take()) == 3
    assert knows(holder) == [1, 3, 4]
    with pytest.raises(InsecureJelly, match="does not know"):
        holder.table.receive_again(2)
    # Those that were looked up went again, and what was forgotten by the other side counts no more.
    holder.take()
    holder.table.uncache(3)
    sized(holder, 5, 60)
    holder.take()
    assert knows(holder) == [1, 4, 5]
    assert used.count == 1
    # Too large for it alone.
    del used
    holder.take()
    assert holder.table.lookup(1) is None
    for luid in (1, 2, 4, 5):
        holder.table.uncache(luid)
    holder.prove_empty()
    assert holder.table._kept_bytes == 0


def test_updates_of_what_nobody_uses_count() -> None:
    holder = Holder(cache_bytes=100)
    sized(holder, 1, 40)
    for times in range(4):
        holder.take()
        assert (holder.table.lookup(1, 20) is None) is (times > 3)
    holder.take()
    assert holder.table.lookup(1, 20) is None
    used = sized(holder, 2, 40)
    for _ in range(9):
        assert holder.table.lookup(2, 20) is used
    del used
    holder.take()
    assert holder.table.lookup(2).count == 2  # type: ignore[union-attr]
    copy_has_size(RemoteStock(), 5)
    holder.take()
    holder.table.clear()


def test_what_was_sent_can_be_looked_at() -> None:
    owner, stock = Owner(), Stock()
    assert owner.table.find(stock) is None
    luid, _ = owner.send(stock)
    owner.table.send(stock, None)
    owner.ids.commit()
    assert owner.table.find(stock) == luid
    assert owner.table.snapshot() == {luid: (stock, 2)}
    assert owner.table.decache(luid)
    owner.table.forget(owner.stop(luid))
    assert owner.table.find(stock) is None
    assert owner.table.snapshot() == {}
    owner.prove_empty()


def test_what_came_can_be_looked_at() -> None:
    holder = Holder()
    handle = holder.receive(3)
    assert holder.table.snapshot() == {3: handle}
    del handle
    # The finalizer has told of it, and nobody has looked yet.
    assert holder.table.snapshot() == {3: None}
    assert holder.take() == [(3,)]
    assert holder.table.snapshot() == {3: None}
    holder.table.uncache(3)
    assert holder.table.snapshot() == {}
    holder.prove_empty()


def test_what_is_sent_under_a_key_is_one_cache() -> None:
    owner, one, two = Owner(), Stock(), Stock()
    luid, observer = owner.table.send(one, None, "key")
    assert observer is not None
    assert owner.table.send(two, None, "key") == (luid, None)
    owner.ids.commit()
    assert owner.table.find(two, "key") == luid
    assert owner.table.find(one) is None
    assert owner.table.decache(luid)
    owner.table.forget(owner.stop(luid))
    assert owner.table.find(one, "key") is None
    owner.prove_empty()


def test_other_limits_for_what_is_remembered() -> None:
    ledger = Ledger(Limits())
    told: list[Unobserved] = []
    table = CacheExports(
        ledger, Ids(), lambda luid, perspective: CacheObserver(None, luid, perspective), told.append
    )
    stocks = [Stock(), Stock()]
    for stock in stocks:
        table.send(stock, None)
    ledger.use(Limits(remembered_ids=1))
    table.follow()
    for luid in (1, 2):
        assert table.decache(luid)
        table.forget(told[-1])
    with pytest.raises(InsecureJelly):
        table.resolve_home(1)
    assert table.resolve_home(2) is stocks[1]
