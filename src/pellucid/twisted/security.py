"""What an application lets in, by name and by class."""

from types import ModuleType
from typing import Any, Final

from twisted.python.reflect import qual

__all__ = ["DummySecurityOptions", "SecurityOptions", "globalSecurity"]

_ATOMS: Final = (
    b"None NoneType bool boolean string str unicode int float decimal datetime date time timedelta "
    b"set frozenset"
)


class DummySecurityOptions:
    """Allows everything. For values that never leave this process."""

    __module__ = "twisted.spread.jelly"

    def isModuleAllowed(self, moduleName: str | bytes) -> bool:
        """Allow every module."""
        return True

    def isClassAllowed(self, klass: type) -> bool:
        """Allow every class."""
        return True

    def isTypeAllowed(self, typeName: str | bytes) -> bool:
        """Allow every type tag."""
        return True


class _Names(dict[bytes, int]):
    """Names that are allowed, which know how often one was taken out of them."""

    removals = 0

    def __delitem__(self, name: bytes) -> None:
        self.removals += 1
        super().__delitem__(name)

    def pop(self, name: bytes, *default: Any) -> Any:
        """Take a name out, and give what it had."""
        self.removals += 1
        return super().pop(name, *default)

    def popitem(self) -> tuple[bytes, int]:
        """Take the last name out, and give it with what it had."""
        self.removals += 1
        return super().popitem()

    def clear(self) -> None:
        """Take all names out."""
        self.removals += 1
        super().clear()


class SecurityOptions:
    """Allows what it is told to allow, and from the start None, numbers, text, dates and sets.

    Names may be text or byte strings. What is allowed can be changed at any time.
    """

    __module__ = "twisted.spread.jelly"

    # The last four hand nobody anything but a handle, or what was his own before.
    basicTypes = [  # noqa: RUF012 - as public and as changeable as it always was
        *("dictionary", "list", "tuple", "reference", "dereference", "unpersistable"),
        *("persistent", "long_int", "long", "dict", "remote", "local", "cached", "lcache"),
    ]

    unsafeAsUnpersistable: bool = False
    """Whether what may not be sent over a connection arrives as an Unpersistable, without an error
    here. For programs that send what nobody looks at."""

    def __init__(self) -> None:
        self.allowedTypes: dict[bytes, int] = _Names.fromkeys(_ATOMS.split(), 1)
        self.allowedModules: dict[bytes, int] = {}
        self.allowedClasses: dict[type, int] = {}

    def allowBasicTypes(self) -> None:
        """Allow containers, what refers to another part of a value, and remote references."""
        self.allowTypes(*self.basicTypes)

    def allowTypes(self, *types: str | bytes | type) -> None:
        """Allow type tags. For a class that is the name of its module and its own."""
        for one in types:
            self.allowedTypes[_word(qual(one) if isinstance(one, type) else one)] = 1

    def allowInstancesOf(self, *classes: type) -> None:
        """Allow instances of these classes, and all that a message with them may need."""
        self.allowBasicTypes()
        self.allowTypes("instance", "class", "classobj", "module")
        for cls in classes:
            self.allowTypes(cls)
            self.allowModules(cls.__module__)
            self.allowedClasses[cls] = 1

    def allowModules(self, *modules: str | bytes | ModuleType) -> None:
        """Allow modules, which are named or given."""
        for one in modules:
            self.allowedModules[_word(one.__name__ if isinstance(one, ModuleType) else one)] = 1

    def isModuleAllowed(self, moduleName: str | bytes) -> bool:
        """Tell whether a module is allowed."""
        return _word(moduleName) in self.allowedModules

    def isClassAllowed(self, klass: type) -> bool:
        """Tell whether instances of a class are allowed, if its module is."""
        return klass in self.allowedClasses

    def isTypeAllowed(self, typeName: str | bytes) -> bool:
        """Tell whether a type tag is allowed.

        That of a class may pass here: it is the class that has to be allowed or registered.
        """
        word = _word(typeName)
        return word in self.allowedTypes or b"." in word


def _word(name: str | bytes) -> bytes:
    return name.encode() if isinstance(name, str) else name


globalSecurity = SecurityOptions()
"""What connections allow that are given no options of their own."""

globalSecurity.allowBasicTypes()
