"""What is made once."""

from threading import Thread
from typing import Any

from pellucid.twisted.once import Once, made_list, made_table, pens_here


class Thing:
    items: Any = Once(made_list)
    table: Any = Once(made_table)

    @Once
    def itself(self) -> object:
        return [self]


def test_an_attribute_is_made_at_the_first_look_at_it() -> None:
    one, other = Thing(), Thing()
    assert "items" not in vars(one)
    one.items.append(1)
    one.table["a"] = 2
    assert (one.items, one.table, one.itself) == ([1], {"a": 2}, [one])
    assert one.itself is one.itself
    assert (other.items, other.table, other.itself) == ([], {}, [other])
    del one.items
    assert one.items == []
    assert isinstance(Thing.__dict__["items"], Once)
    assert Thing.items is Thing.__dict__["items"]


def test_each_thread_has_its_own_pens() -> None:
    found = [pens_here()]
    assert pens_here() is found[0]
    thread = Thread(target=lambda: found.append(pens_here()))
    thread.start()
    thread.join()
    assert found[0] is not found[1]
