# The C types of events.py.

cimport cython


@cython.final
cdef class CallReceived:
    cdef public object target, name, args, kwargs, perspective
    cdef public object request
    cdef public bint wants_answer
    cdef public Py_ssize_t size


@cython.final
cdef class CallCompleted:
    cdef readonly object waiter, value


@cython.final
cdef class CallFailed:
    cdef readonly object waiter, error
