# The C types of wakeups.py.

cimport cython

cdef object _NAMES


@cython.final
cdef class Wakeups:
    cdef object _loop, _failed
    cdef readonly list waiting
    cdef public bint usual

    cpdef finish(self, future, value)
    cpdef bint run(self) except -1
