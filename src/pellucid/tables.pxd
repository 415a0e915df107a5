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
    cdef readonly Imports imports
    cdef readonly object cache_exports, cache_imports

    cpdef clear(self)
    cpdef home(self, reference)
    cpdef home_cache(self, obj)
    cpdef undo(self)
    cpdef remote(self, luid, perspective)
    cpdef local(self, luid)
    cpdef new_cache(self, luid, make)
    cpdef cached(self, luid)
    cpdef lcache(self, luid)
