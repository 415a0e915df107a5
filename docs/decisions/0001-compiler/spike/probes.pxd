cimport cython

cdef class Watched:
    cdef object __weakref__
    cdef readonly str name


cdef class Node:
    cdef public Py_ssize_t count
    cdef public str label
    cpdef object size(self)
    cpdef object double(self)
