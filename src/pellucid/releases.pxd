# The C types of releases.py.

cimport cython


@cython.final
cdef class Releases:
    cdef object _limits, _owner
    cdef readonly object gone, owed
    cdef public bint _awake
    cdef bint _open
    cdef public object received

    cpdef use(self, limits)
    cpdef wake(self)
    cpdef settle(self)
    cpdef owe(self, debt, Py_ssize_t count)
    cpdef commit(self)
    cpdef take_in(self, one)
    cpdef check(self)
    cpdef refuse(self, carried)
    @cython.locals(count=Py_ssize_t, now=Py_ssize_t)
    cpdef list take(self, Py_ssize_t most)
    cpdef clear(self)
