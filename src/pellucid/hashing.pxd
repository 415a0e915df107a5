# The C types of hashing.py: hashes fit in 64 bits, and so does what comes of them.

cimport cython
from libc.stdint cimport int64_t, uint64_t

cdef int64_t _FREE, _RUN, _LARGE_SET
cdef int _SHIFT
cdef uint64_t _HASH_BITS


@cython.final
cdef class Probes:
    cdef object _container
    cdef bint _is_set
    cdef int64_t _mask, _room
    cdef bytearray _taken
    cdef list _codes

    @cython.locals(steps=int64_t, place=int64_t)
    cpdef int64_t take(self, int64_t code, int64_t most) except -1
    @cython.locals(size=int64_t, room=int64_t, least=int64_t, steps=int64_t)
    cdef int64_t _grow(self, int64_t used, int64_t most) except -1
    @cython.locals(taken=bytearray, mask=uint64_t, perturb=uint64_t, place=uint64_t,
                   found=int64_t, count=int64_t)
    cdef int64_t _take(self, int64_t code, int64_t most) except -1
