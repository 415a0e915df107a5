"""What everything that can be sent has in common."""

from pellucid.twisted.jelly import Jellyable
from pellucid.twisted.serializable import Serializable


def test_it_bears_the_module_of_twisted() -> None:
    assert Serializable.__module__ == "twisted.spread.flavors"
    assert issubclass(Serializable, Jellyable)


def test_each_object_has_an_id_of_its_own() -> None:
    one, other = Serializable(), Serializable()
    assert one.processUniqueID() == one.processUniqueID() == id(one)
    assert one.processUniqueID() != other.processUniqueID()
