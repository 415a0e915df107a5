# What takes the place of the functions of usual.py in the compiled modules: nothing is usual there.
# Use it as `usual.NAME`, with `from pellucid cimport usual`.

cdef inline bint fits(limits, dialect):
    return False


cdef inline object remember(bytes data, Py_ssize_t pos, name, bint wants_answer):
    return None


cdef inline object read(bytes data, Py_ssize_t start):
    return None


cdef inline bytes item(value):
    return None


cdef inline bytes answer(value, exporter):
    return None


cdef inline bytes call(request, luid, bytes word, bint wants_answer, tuple args, exporter):
    return None


cdef inline (Py_ssize_t, Py_ssize_t) atoms(
    bytes data, Py_ssize_t pos, Py_ssize_t count, result, bint pairs
):
    return pos, 0
