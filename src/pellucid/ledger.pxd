# The C types of ledger.py: counts and sizes fit in 64 bits.

cimport cython
from libc.stdint cimport int64_t


cdef int64_t _NONE


# It refers to nothing that could refer to it.
@cython.no_gc
@cython.final
cdef class Ledger:
    cdef readonly object limits
    cdef public int64_t references_held, references_exported, caches_held, caches_exported
    cdef public int64_t calls_pending, calls_running, calls_waiting, waiting_bytes, out_bytes
    cdef readonly int64_t most_calls_pending, most_calls_running, most_calls_waiting
    cdef readonly int64_t most_waiting_bytes, most_out_bytes, enough_out_bytes

    cpdef use(self, limits)
    cpdef bint may_start(self)
    cpdef bint may_wait(self)
