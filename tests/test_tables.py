"""What encoder and decoder see of a connection, and its end."""

import gc
import weakref
from typing import Any

import pytest

from pellucid.caches import CacheObserver
from pellucid.errors import InsecureJelly
from pellucid.events import Released, Unobserved
from pellucid.flavors import Cacheable, Referenceable, RemoteCache
from pellucid.ledger import Ledger
from pellucid.limits import Limits
from pellucid.ports import Exporter, Importer
from pellucid.references import RemoteReference
from pellucid.tables import Tables

ACCOUNTS = ("references_held", "references_exported", "caches_held", "caches_exported")


class Wants(Referenceable):
    wants_release = True


class Stock(Cacheable):
    pass


class RemoteStock(RemoteCache):
    pass


class Connection:
    def __init__(self) -> None:
        self.ledger = Ledger(Limits())
        self.told: list[Released | Unobserved] = []
        self.woken = 0
        self.tables = Tables(self, self.ledger, self.reference, self.observer, self.tell)

    # Not bound: nothing that the tables are given but the owner itself leads to it.

    @staticmethod
    def reference(owner: Any, luid: int | bytes) -> RemoteReference:
        return RemoteReference(owner, luid)

    @staticmethod
    def observer(owner: Any, luid: int, perspective: Any) -> CacheObserver:
        return CacheObserver(owner, luid, perspective)

    @staticmethod
    def tell(owner: Any, event: Released | Unobserved) -> None:
        owner.told.append(event)

    def wake(self) -> None:
        self.woken += 1

    def prove_empty(self) -> None:
        gc.collect()
        tables = self.tables
        assert tables.releases.take(9) == []
        both = (tables.exports, tables.imports, tables.cache_exports, tables.cache_imports)
        assert [len(table) for table in both] == [0] * 4
        assert [self.ledger.used(name) for name in ACCOUNTS] == [0] * 4


def test_what_is_sent() -> None:
    here = Connection()
    exporter: Exporter = here.tables
    obj, stock, whose = Referenceable(), Stock(), object()
    assert [exporter.export(obj), exporter.export(obj), exporter.export(whose, "k")] == [1, 1, 2]
    luid, observer = exporter.cache(stock, whose)
    assert luid == 3
    assert (observer.luid, observer.perspective) == (3, whose)  # type: ignore[union-attr]
    assert exporter.cache(stock, None) == (3, None)
    exporter.undo()
    (event,) = here.told
    assert isinstance(event, Unobserved)
    assert event.observer is observer
    assert exporter.export(obj) == 1
    exporter.undo()
    here.prove_empty()


def test_what_comes_in() -> None:
    here = Connection()
    importer: Importer = here.tables
    whose = object()
    reference = importer.remote(7, whose)
    assert reference.perspective is whose
    stock = importer.new_cache(8, RemoteStock)
    assert importer.cached(8) is stock
    here.tables.releases.commit()
    assert here.tables.home(reference) == 7
    assert here.tables.home_cache(stock) == 8
    del reference, stock
    assert sorted(here.tables.releases.take(9), key=repr) == [(8,), (8,), 7]
    assert here.woken == 1
    here.tables.cache_imports.uncache(8)
    here.prove_empty()


def test_what_comes_home() -> None:
    here = Connection()
    obj, stock = Referenceable(), Stock()
    here.tables.export(obj)
    here.tables.cache(stock, None)
    assert here.tables.local(1) is obj
    assert here.tables.lcache(2) is stock
    here.tables.undo()
    here.prove_empty()


def test_nothing_goes_over_another_connection() -> None:
    here, there = Connection(), Connection()
    with pytest.raises(InsecureJelly, match="only over the connection it came from"):
        here.tables.home(there.tables.remote(7, None))
    with pytest.raises(InsecureJelly, match="only over the connection it came from"):
        here.tables.home_cache(there.tables.new_cache(8, RemoteStock))


def test_tables_that_are_used_behind_the_end() -> None:
    here = Connection()
    here.tables.clear()
    with pytest.raises(InsecureJelly, match="has ended"):
        here.tables.cache(Stock(), None)
    with pytest.raises(InsecureJelly, match="has ended"):
        here.tables.remote(7, None)
    with pytest.raises(InsecureJelly, match="has ended"):
        here.tables.new_cache(8, RemoteStock)
    here.prove_empty()


def test_the_end() -> None:
    here = Connection()
    wants, stock = Wants(), Stock()
    here.tables.export(wants)
    here.tables.cache(stock, None)
    reference, copy = here.tables.remote(7, None), here.tables.new_cache(8, RemoteStock)
    dead = here.tables.remote(9, None)
    del dead
    here.tables.clear()
    assert [type(event) for event in here.told] == [Unobserved, Released]
    # In the midst of a message, too.
    here.tables.undo()
    assert len(here.told) == 2
    del reference, copy
    here.prove_empty()


def test_all_tables_follow_the_limits() -> None:
    for used in (False, True):
        connection = Connection()
        tables = connection.tables
        if used:
            assert len(tables.cache_exports) == 0
        connection.ledger.use(Limits(remembered_ids=1))
        tables.follow()


def test_the_tables_of_caches_follow_the_limits() -> None:
    connection = Connection()
    tables = connection.tables
    stocks = [Stock() for _ in range(2)]
    for stock in stocks:
        tables.cache(stock, None)
    tables.ids.commit()
    connection.ledger.use(Limits(remembered_ids=1))
    tables.follow()
    for luid in (1, 2):
        assert tables.cache_exports.decache(luid)
        event = connection.told[-1]
        assert isinstance(event, Unobserved)
        tables.cache_exports.forget(event)
    with pytest.raises(InsecureJelly):
        tables.lcache(1)
    assert tables.lcache(2) is stocks[1]


@pytest.mark.parametrize("used", [False, True])
def test_tables_keep_no_owner_that_is_forgotten(used: bool) -> None:
    here = Connection()
    tables = here.tables
    wants, stock = Wants(), Stock()
    if used:
        tables.export(wants)
        tables.cache(stock, here)
        copy = tables.new_cache(8, RemoteStock)
        assert tables.cached(8) is copy
        reference = tables.remote(7, None)
        tables.ids.commit()
        tables.releases.commit()
        del copy, reference
    tables.clear()
    assert [type(event) for event in here.told] == ([Unobserved, Released] if used else [])
    here.told.clear()
    tables.leave()
    assert tables.owner is None
    # Nothing comes or goes any more, also not by tables that nobody had asked for.
    with pytest.raises(InsecureJelly, match="has ended"):
        tables.cache(stock, None)
    with pytest.raises(InsecureJelly, match="has ended"):
        tables.remote(9, None)
    with pytest.raises(InsecureJelly, match="has ended"):
        tables.new_cache(9, RemoteStock)
    here.prove_empty()
    assert here.told == []
    forgotten = [weakref.ref(one) for one in (here, wants, stock)]
    del here, wants, stock
    assert [one() for one in forgotten] == [None] * 3
