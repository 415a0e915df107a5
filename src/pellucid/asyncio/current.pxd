# The C types of current.py.

cimport cython

from ..events cimport CallReceived

cdef object _current


@cython.locals(call=CallReceived)
cpdef invoke(connection, CallReceived call)
