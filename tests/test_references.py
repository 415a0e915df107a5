"""Both tables, by themselves: counts, ids, what is undone, what dies where and when."""

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import pytest

from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.events import Released
from pellucid.flavors import Referenceable, Viewable, ViewPoint
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from pellucid.references import Exports, Ids, Imports, Remembered, RemoteReference
from pellucid.releases import Debt, Releases


class Owner:
    """An export table, and what it told."""

    def __init__(self, **limits: int) -> None:
        self.ledger = Ledger(Limits(**limits))
        self.told: list[Released] = []
        self.ids = Ids()
        self.table = Exports(self.ledger, self.ids, self, self.tell)

    # Not bound: nothing that the table is given but the owner itself leads to it.
    @staticmethod
    def tell(owner: Any, event: Released) -> None:
        owner.told.append(event)

    def released(self) -> list[Any]:
        targets = [event.target for event in self.told]
        self.told.clear()
        return targets


def exports(**limits: int) -> tuple[Exports, Ledger]:
    owner = Owner(**limits)
    return owner.table, owner.ledger


class Holder:
    """An import table, and how often it woke somebody."""

    def __init__(self, **limits: int) -> None:
        self.ledger = Ledger(Limits(**limits))
        self.woken = 0
        self.releases = Releases(self.ledger.limits, self)
        self.imports = Imports(self.ledger, self, self.make, self.releases)

    @staticmethod
    def make(owner: object, luid: int | bytes) -> RemoteReference:
        return RemoteReference(owner, luid)

    def wake(self) -> None:
        self.woken += 1

    def receive(self, luid: int | bytes, times: int = 1) -> RemoteReference:
        """A message that names an id so often."""
        for _ in range(times):
            reference = self.imports.receive(luid)
        self.releases.commit()
        return reference

    def owes(self) -> bool:
        return self.releases.owes

    def take(self) -> list[Debt]:
        return self.releases.take(1000)

    def clear(self) -> None:
        self.releases.clear()
        self.imports.clear()

    def prove_empty(self) -> None:
        gc.collect()
        assert self.take() == []
        assert len(self.imports) == 0
        assert not self.owes()
        assert self.ledger.used("references_held") == 0


def prove_empty(table: Exports, ledger: Ledger) -> None:
    assert len(table) == 0
    assert ledger.used("references_exported") == 0


# A reference.


class Exporter:
    def home(self, reference: Any) -> int | bytes:
        luid: int | bytes = reference.luid
        return luid


class Encoder:
    def __init__(self) -> None:
        self.exporter = Exporter()
        self.written: list[int | bytes] = []

    def write_local(self, luid: int | bytes) -> None:
        self.written.append(luid)


class Mine(RemoteReference):
    __slots__ = ()


def test_a_reference_goes_home() -> None:
    encoder = Encoder()
    RemoteReference(None, 7).write_jelly(encoder)
    RemoteReference(None, b"root").write_jelly(encoder)
    assert encoder.written == [7, b"root"]


def test_a_reference_shows_its_id_only() -> None:
    assert repr(RemoteReference(None, 7)) == "<RemoteReference 7>"
    assert repr(RemoteReference(None, b"root")) == "<RemoteReference root>"
    assert repr(Mine(None, b"\xff")) == "<Mine \ufffd>"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_reference_stays_where_it_is(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="a Mine belongs to its connection"):
        duplicate(Mine(None, 7))


def test_references_can_be_compared_and_hashed() -> None:
    here, there = object(), object()
    one, same, root = Mine(here, 7), RemoteReference(here, 7), RemoteReference(here, b"root")
    assert one == same
    assert hash(one) == hash(same)
    assert one != RemoteReference(there, 7)
    assert one != None  # noqa: E711 - that it does not raise is the point
    assert root not in [1, one]
    assert len({one, same, root}) == 2


# What the other side holds of ours.


def test_one_object_has_one_id_and_is_counted_at_each_occurrence() -> None:
    table, ledger = exports()
    first, second = Referenceable(), Referenceable()
    assert [table.export(obj) for obj in (first, second, first)] == [1, 2, 1]
    table.ids.commit()
    assert len(table) == ledger.used("references_exported") == 2
    assert [table.decref(1), table.decref(1), table.decref(1)] == [True, True, False]
    assert table.lookup(1) is None
    assert table.lookup(2) is second
    assert table.decref(2)
    prove_empty(table, ledger)


def test_an_id_is_never_used_again() -> None:
    table, ledger = exports()
    obj = Referenceable()
    for luid in (1, 2, 3):
        assert table.export(obj) == luid
        table.ids.commit()
        assert table.decref(luid)
    prove_empty(table, ledger)


def test_equal_objects_are_not_the_same() -> None:
    class Equal(Referenceable):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    table, ledger = exports()
    one, other = Equal(), Equal()
    assert [table.export(one), table.export(other)] == [1, 2]
    table.ids.undo()
    prove_empty(table, ledger)


def test_what_is_exported_is_kept_alive() -> None:
    table, _ = exports()
    table.export(Referenceable())
    table.ids.commit()
    gc.collect()
    assert type(table.lookup(1)) is Referenceable


def test_undo_takes_back_ids_and_counts() -> None:
    table, ledger = exports()
    old = Referenceable()
    table.export(old)
    table.ids.commit()
    for obj in (Referenceable(), old, Referenceable(), old):
        table.export(obj)
    assert len(table) == 3
    table.ids.undo()
    assert len(table) == ledger.used("references_exported") == 1
    assert table.export(Referenceable()) == 2
    table.ids.undo()
    assert table.decref(1)
    assert not table.decref(1)
    prove_empty(table, ledger)


def test_undo_takes_back_an_object_that_occurred_twice() -> None:
    table, ledger = exports()
    twice = Referenceable()
    assert [table.export(obj) for obj in (twice, Referenceable(), twice)] == [1, 2, 1]
    table.ids.undo()
    assert table.export(Referenceable()) == 1
    table.ids.undo()
    prove_empty(table, ledger)


def test_undo_after_a_commit_takes_nothing_back() -> None:
    table, ledger = exports()
    table.ids.undo()
    table.ids.commit()
    table.export(Referenceable())
    table.ids.commit()
    table.ids.undo()
    assert len(table) == 1
    table.clear()
    prove_empty(table, ledger)


def test_too_many_exports() -> None:
    table, ledger = exports(references_exported=2)
    kept = [Referenceable(), Referenceable()]
    for obj in kept:
        table.export(obj)
    table.ids.commit()
    assert table.export(kept[0]) == 1
    with pytest.raises(LimitExceeded, match=r"Maximum PB reference count exceeded\.") as caught:
        table.export(Referenceable())
    assert (caught.value.limit, caught.value.value) == ("references_exported", 3)
    assert not caught.value.remote
    table.ids.undo()
    assert table.decref(1)
    assert table.export(Referenceable()) == 3
    table.ids.undo()
    table.decref(2)
    prove_empty(table, ledger)


def test_names_are_not_counted() -> None:
    table, ledger = exports()
    obj = Referenceable()
    table.publish(b"root", obj)
    assert table.lookup(b"root") is table.resolve_home(b"root") is obj
    assert not table.decref(b"root")
    assert table.export(obj) == 1
    assert table.decref(1)
    assert table.lookup(b"root") is obj
    prove_empty(table, ledger)


def test_several_names() -> None:
    table, ledger = exports()
    first, second, third = Referenceable(), Referenceable(), Referenceable()
    table.publish(b"root", first)
    table.publish(b"more", second)
    assert (table.lookup(b"root"), table.lookup(b"more")) == (first, second)
    assert table.snapshot() == {b"root": (first, 1), b"more": (second, 1)}
    table.publish(b"root", third)
    table.publish(b"more", first)
    assert table.snapshot() == {b"root": (third, 1), b"more": (first, 1)}
    table.clear()
    assert (table.lookup(b"root"), table.lookup(b"more")) == (None, None)
    prove_empty(table, ledger)


@pytest.mark.parametrize("luid", [77, -1, b"root", b"", None])
def test_an_id_that_was_never_given_out(luid: object) -> None:
    table, _ = exports()
    assert table.lookup(luid) is None
    assert not table.decref(luid)
    with pytest.raises(InsecureJelly, match="does not know"):
        table.resolve_home(luid)


def test_an_object_comes_home_behind_its_last_decref() -> None:
    table, ledger = exports()
    obj = Referenceable()
    table.export(obj)
    assert table.resolve_home(1) is obj
    assert table.decref(1)
    assert table.lookup(1) is None
    assert table.resolve_home(1) is obj
    assert table.export(obj) == 2
    assert table.resolve_home(1) is table.resolve_home(2) is obj
    assert table.decref(2)
    prove_empty(table, ledger)


def test_a_remembered_id_keeps_nothing_alive() -> None:
    table, ledger = exports()
    table.export(Referenceable())
    table.ids.commit()
    table.decref(1)
    gc.collect()
    with pytest.raises(InsecureJelly):
        table.resolve_home(1)
    prove_empty(table, ledger)


def test_an_object_without_weak_references_is_not_remembered() -> None:
    class Bare:
        __slots__ = ()

    table, ledger = exports()
    obj = Bare()
    assert table.export(obj) == 1
    table.ids.commit()
    assert table.resolve_home(1) is obj
    assert table.decref(1)
    with pytest.raises(InsecureJelly):
        table.resolve_home(1)
    prove_empty(table, ledger)


def test_more_ids_than_a_c_integer_can_be_remembered() -> None:
    remembered = Remembered(1 << 100)
    one = Referenceable()
    remembered.add(1, one)
    assert remembered.find(1) is one


def test_so_many_ids_are_remembered() -> None:
    table, ledger = exports(remembered_ids=3)
    objs = [Referenceable() for _ in range(5)]
    for luid, obj in enumerate(objs, 1):
        assert table.export(obj) == luid
        table.decref(luid)
    for luid in (1, 2):
        with pytest.raises(InsecureJelly):
            table.resolve_home(luid)
    assert [table.resolve_home(luid) for luid in (3, 4, 5)] == objs[2:]
    prove_empty(table, ledger)


def test_when_the_connection_is_over_all_exports_are_forgotten() -> None:
    table, ledger = exports()
    kept, remembered = Referenceable(), Referenceable()
    table.publish(b"root", kept)
    table.export(remembered)
    table.decref(1)
    table.export(kept)
    table.ids.commit()
    table.clear()
    for luid in (1, 2, b"root"):
        assert table.lookup(luid) is None
        with pytest.raises(InsecureJelly):
            table.resolve_home(luid)
    with pytest.raises(InsecureJelly, match="has ended"):
        table.export(kept)
    prove_empty(table, ledger)


# What we hold of theirs.


def test_one_id_is_one_reference_while_one_is_alive() -> None:
    holder = Holder()
    reference = holder.receive(7)
    assert holder.receive(7) is reference
    assert len(holder.imports) == 1
    assert holder.receive(b"seven") is not reference
    assert holder.take() == [b"seven"]
    del reference
    assert holder.take() == [7, 7]
    holder.prove_empty()


def test_a_decref_is_owed_for_each_occurrence() -> None:
    holder = Holder()
    reference = holder.receive(7, times=3)
    assert holder.take() == []
    assert holder.receive(7) is reference
    assert not holder.owes()
    del reference
    assert holder.owes()
    assert holder.take() == [7, 7, 7, 7]
    holder.prove_empty()


def test_the_same_id_comes_again_before_its_release_was_taken() -> None:
    holder = Holder()
    del_me = holder.receive(7, times=2)
    del del_me
    again = holder.receive(7)
    assert len(holder.imports) == holder.ledger.used("references_held") == 1
    assert holder.take() == [7, 7]
    assert holder.receive(7) is again
    del again
    assert holder.take() == [7, 7]
    holder.prove_empty()


def test_releases_are_taken_in_portions() -> None:
    holder = Holder()
    references = [holder.receive(luid, times=3) for luid in (1, 2)]
    references.clear()
    taken = [holder.releases.take(2) for _ in range(4)]
    assert [len(part) for part in taken] == [2, 2, 2, 0]
    assert sorted(luid for part in taken for luid in part) == [1, 1, 1, 2, 2, 2]
    holder.prove_empty()


def test_somebody_is_woken_once_for_many() -> None:
    holder = Holder()
    references = [holder.receive(luid) for luid in range(1, 11)]
    assert holder.woken == 0
    references.clear()
    assert holder.woken == 1
    assert sorted(holder.take(), key=repr) == sorted(range(1, 11), key=repr)
    late = holder.receive(11)
    del late
    assert holder.woken == 2
    holder.take()
    holder.prove_empty()


def test_a_cycle_is_released_when_it_is_collected() -> None:
    class Node:
        def __init__(self, reference: RemoteReference) -> None:
            self.reference = reference
            self.self = self

    holder = Holder()
    gc.collect()
    gc.disable()
    try:
        node = Node(holder.receive(7))
        del node
        assert holder.take() == []
        gc.collect()
    finally:
        gc.enable()
    assert holder.woken == 1
    assert holder.take() == [7]
    holder.prove_empty()


def test_a_finalizer_may_run_while_another_reference_is_received() -> None:
    """The collector may run at any allocation, so also in the midst of what the table does."""
    holder = Holder()
    made: list[int | bytes] = []

    def make(owner: object, luid: int | bytes) -> RemoteReference:
        made.append(luid)
        doomed.clear()
        gc.collect()
        return RemoteReference(holder, luid)

    imports = Imports(holder.ledger, holder, make, holder.releases)
    doomed: list[object] = []
    first = imports.receive(1)
    doomed.append([first])
    del first
    second = imports.receive(2)
    holder.releases.commit()
    assert made == [1, 2]
    assert holder.take() == [1]
    assert len(imports) == 1
    del second
    assert holder.take() == [2]
    assert holder.ledger.used("references_held") == 0


def test_an_id_comes_again_while_its_reference_dies() -> None:
    """The collector clears all weak references before it calls the first callback."""
    holder = Holder()
    again: list[RemoteReference] = []

    def wake() -> None:
        again.extend(imports.receive(luid) for luid in (1, 2))
        releases.commit()

    holder.wake = wake  # type: ignore[method-assign]
    releases, imports = holder.releases, holder.imports
    cycle: list[object] = [imports.receive(1), imports.receive(2)]
    cycle.append(cycle)
    releases.commit()
    del cycle
    gc.collect()
    assert [reference.luid for reference in again] == [1, 2]
    assert sorted(releases.take(9), key=repr) == [1, 2]
    assert len(imports) == holder.ledger.used("references_held") == 2
    assert [imports.receive(luid) for luid in (1, 2)] == again
    imports.clear()
    assert holder.ledger.used("references_held") == 0


def test_references_die_in_any_thread() -> None:
    holder = Holder()
    batches = [[holder.receive(luid) for luid in range(n, 400, 4)] for n in range(4)]
    begin = threading.Barrier(4)

    def drop(batch: list[RemoteReference]) -> None:
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
    while holder.owes():
        taken += holder.releases.take(7)
    assert sorted(taken, key=repr) == sorted(range(400), key=repr)
    assert holder.woken >= 1
    holder.prove_empty()


def test_a_refused_message_releases_all_that_it_carried() -> None:
    holder = Holder()
    old = holder.receive(1)
    holder.imports.receive(1)
    holder.imports.receive(2)
    # Id 3 stood behind what was refused.
    holder.releases.refuse([1, 2, 3])
    assert holder.woken == 1
    assert sorted(holder.take(), key=repr) == [1, 2, 3]
    del old
    assert holder.take() == [1]
    holder.prove_empty()


def test_a_refused_message_that_carried_nothing_wakes_nobody() -> None:
    holder = Holder()
    holder.releases.refuse([])
    holder.releases.commit()
    assert holder.woken == 0
    holder.prove_empty()


def test_a_reference_of_a_refused_message_that_lives_on_owes_nothing() -> None:
    holder = Holder()
    stray = holder.imports.receive(5)
    holder.releases.refuse([5])
    assert holder.take() == [5]
    assert holder.receive(5) is stray
    del stray
    assert holder.take() == [5]
    holder.prove_empty()


def test_too_many_held() -> None:
    holder = Holder(references_held=2)
    references = [holder.receive(1), holder.receive(2)]
    assert holder.receive(1) is references[0]
    with pytest.raises(LimitExceeded, match="too many references held") as caught:
        holder.imports.receive(3)
    assert (caught.value.limit, caught.value.value) == ("references_held", 3)
    assert caught.value.remote
    references.pop()
    # What is dead is not held, though its release was not taken yet.
    assert holder.owes()
    references.append(holder.receive(3))
    references.clear()
    assert sorted(holder.take(), key=repr) == [1, 1, 2, 3]
    holder.prove_empty()


def test_when_the_connection_is_over_nothing_is_owed() -> None:
    holder = Holder()
    kept, dead = holder.receive(1), holder.receive(2)
    holder.imports.receive(3)
    del dead
    holder.releases.refuse([4])
    woken = holder.woken
    holder.clear()
    assert holder.take() == []
    del kept
    assert holder.woken == woken
    holder.prove_empty()


def test_a_reference_that_outlives_the_table_is_silent() -> None:
    holder = Holder()
    kept = holder.receive(1)
    holder.clear()
    del kept
    assert holder.woken == 0
    holder.prove_empty()


def test_a_handle_that_can_not_be_made_is_not_held() -> None:
    def make(owner: object, luid: int | bytes) -> RemoteReference:
        raise MemoryError

    holder = Holder()
    imports = Imports(holder.ledger, holder, make, holder.releases)
    with pytest.raises(MemoryError):
        imports.receive(1)
    holder.releases.refuse([1])
    assert len(imports) == 0
    assert holder.take() == [1]
    holder.prove_empty()


def test_no_more_ids_wait_for_their_release_than_may_be_held() -> None:
    holder = Holder(references_held=2)
    holder.releases.refuse([1] * 100)
    room = [holder.releases.has_room]
    holder.releases.refuse([2])
    room.append(holder.releases.has_room)
    assert len(holder.take()) == 101
    room.append(holder.releases.has_room)
    assert room == [True, False, True]
    holder.prove_empty()


def test_each_perspective_has_a_reference_of_its_own() -> None:
    class Somebody:
        pass

    holder = Holder()
    alice, bob = Somebody(), Somebody()
    nobodys = holder.receive(7)
    of_alice, of_bob = (holder.imports.receive(7, whose) for whose in (alice, bob))
    holder.releases.commit()
    assert len({id(one) for one in (nobodys, of_alice, of_bob)}) == 3
    assert nobodys == of_alice == of_bob
    assert [one.perspective for one in (nobodys, of_alice, of_bob)] == [None, alice, bob]
    assert holder.imports.receive(7, alice) is of_alice
    holder.releases.commit()
    del of_alice
    assert holder.take() == [7, 7]
    del nobodys, of_bob
    assert holder.take() == [7, 7]
    holder.prove_empty()


# Ids that two tables share.


class Counted:
    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self.luid = ids.take()
        ids.counted.append(self)

    def uncount(self) -> None:
        self.ids.give_back(self.luid)


def test_ids_are_taken_back_together() -> None:
    ids = Ids()
    assert [ids.take(), ids.take()] == [1, 2]
    for _ in range(3):
        Counted(ids)
    ids.undo()
    assert ids.counted == []
    assert Counted(ids).luid == 3
    ids.commit()
    ids.undo()
    ids.commit()
    assert ids.take() == 4


def test_what_is_exported_under_a_key_is_one_object() -> None:
    table, ledger = exports()
    first, second = Referenceable(), Referenceable()
    assert [table.export(first, "key"), table.export(second, "key")] == [1, 1]
    assert table.lookup(1) is first
    assert table.export(first) == 2
    table.ids.undo()
    prove_empty(table, ledger)


# Who hears that nobody holds it any more.


class Wants(Referenceable):
    wants_release = True


def test_an_object_may_hear_that_it_is_released() -> None:
    owner = Owner()
    table, wants = owner.table, Wants()
    table.publish(b"root", wants)
    for obj in (wants, Referenceable(), wants):
        table.export(obj)
    table.ids.commit()
    assert [table.decref(1), table.decref(2), owner.released()] == [True, True, []]
    assert table.decref(1)
    assert owner.released() == [wants]
    table.export(wants)
    table.ids.undo()
    assert owner.released() == [wants]
    table.export(wants)
    table.ids.commit()
    table.clear()
    assert owner.released() == [wants]
    prove_empty(table, owner.ledger)


# What comes home.


class Wrapper(Referenceable):
    """Comes home as what is in it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def comes_home_as(self) -> Any:
        return self.inner


def test_an_object_may_come_home_as_another() -> None:
    table, ledger = exports()
    inner = Referenceable()
    assert table.export(Wrapper(inner)) == 1
    table.ids.commit()
    assert type(table.lookup(1)) is Wrapper
    assert table.resolve_home(1) is inner
    assert table.decref(1)
    # The wrapper is gone, and what it stood for is not.
    assert table.resolve_home(1) is inner
    prove_empty(table, ledger)


def test_a_view_comes_home_though_nobody_keeps_it() -> None:
    class Somebody:
        pass

    table, ledger = exports()
    whose, what = Somebody(), Viewable()
    view = ViewPoint(whose, what)
    assert table.export(view, view.key) == 1
    table.ids.commit()
    assert table.decref(1)
    del view
    gc.collect()
    assert table.resolve_home(1) == ViewPoint(whose, what)
    del what
    with pytest.raises(InsecureJelly):
        table.resolve_home(1)
    prove_empty(table, ledger)


def test_what_is_remembered_is_bounded_and_kept_by_nobody() -> None:
    remembered = Remembered(2)
    kept = [Referenceable() for _ in range(3)]
    for luid, obj in enumerate(kept):
        remembered.add(luid, obj)
    remembered.add(9, 5)
    assert [remembered.find(luid) for luid in (0, 1, 2, 9, None)] == [None, *kept[1:], None, None]
    kept.clear()
    gc.collect()
    assert remembered.find(1) is None
    obj = Referenceable()
    remembered.add(3, obj)
    remembered.clear()
    assert remembered.find(3) is None


def test_what_is_exported_can_be_looked_at() -> None:
    owner, thing, root = Owner(), Referenceable(), Referenceable()
    owner.table.publish(b"root", root)
    luid = owner.table.export(thing)
    owner.table.export(thing)
    owner.ids.commit()
    assert owner.table.snapshot() == {b"root": (root, 1), luid: (thing, 2)}
    assert owner.table.decref(luid)
    assert owner.table.snapshot()[luid] == (thing, 1)
    assert owner.table.decref(luid)
    assert owner.table.snapshot() == {b"root": (root, 1)}
    owner.table.clear()
    prove_empty(owner.table, owner.ledger)


def test_a_part_of_what_was_counted_is_taken_back() -> None:
    owner, first, second = Owner(), Referenceable(), Referenceable()
    owner.table.export(first)
    before = len(owner.ids.counted)
    owner.table.export(second)
    owner.table.export(first)
    owner.ids.undo(before)
    assert owner.table.snapshot() == {1: (first, 1)}
    owner.table.export(second)
    owner.ids.commit(before)
    owner.ids.undo()
    assert owner.table.snapshot() == {2: (second, 1)}
    owner.table.clear()
    prove_empty(owner.table, owner.ledger)


def test_other_limits_for_what_is_remembered() -> None:
    owner = Owner()
    owner.table.follow()
    kept = [Referenceable() for _ in range(4)]
    for one in kept:
        owner.table.export(one)
    owner.table.ids.commit()
    assert owner.table.decref(1)
    owner.ledger.use(Limits(remembered_ids=1))
    owner.table.follow()
    for luid in (2, 3):
        assert owner.table.decref(luid)
    with pytest.raises(InsecureJelly):
        owner.table.resolve_home(2)
    assert owner.table.resolve_home(3) is kept[2]


def test_exports_keep_no_owner_that_is_forgotten() -> None:
    owner, obj = Owner(), Wants()
    table, ledger = owner.table, owner.ledger
    luid = table.export(obj)
    table.ids.commit()
    table.clear()
    assert owner.released() == [obj]
    table.leave()
    assert table.lookup(luid) is None
    prove_empty(table, ledger)
    forgotten = weakref.ref(owner), weakref.ref(obj)
    del owner, obj
    assert [one() for one in forgotten] == [None, None]


def test_imports_keep_no_owner_that_is_forgotten() -> None:
    holder = Holder()
    imports, releases, ledger = holder.imports, holder.releases, holder.ledger
    reference = holder.receive(7)
    holder.clear()
    imports.leave()
    releases.leave()
    with pytest.raises(InsecureJelly, match="has ended"):
        imports.receive(8)
    assert (len(imports), ledger.used("references_held"), holder.woken) == (0, 0, 0)
    # A reference knows where it came from, and goes without a word.
    forgotten = weakref.ref(holder)
    del holder
    assert forgotten() is reference.origin
    del reference
    assert forgotten() is None
    assert not releases.owes
