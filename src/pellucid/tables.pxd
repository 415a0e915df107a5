# The C types of tables.py.

cimport cython

from .ledger cimport Ledger
from .references cimport Exports, Ids, Imports
from .releases cimport Releases


@cython.final
cdef class Tables:
    cdef readonly object owner
    cdef readonly Ids ids
    cdef readonly Releases releases
    cdef readonly Exports exports
    cdef Imports _imports
    cdef object _make_observer, _make_reference, _report, _cache_exports, _cache_imports
    cdef bint _open

    cpdef follow(self)
    cpdef clear(self)
    cpdef home(self, reference)
    cpdef home_cache(self, obj)
    cpdef undo(self)
    @cython.locals(imports=Imports)
    cpdef remote(self, luid, perspective)
    cpdef local(self, luid)
    cpdef new_cache(self, luid, make)
    cpdef cached(self, luid)
    cpdef lcache(self, luid)
