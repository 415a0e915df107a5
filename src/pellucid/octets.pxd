# What takes the place of the functions of octets.py in the compiled modules, for there is no
# typed Python that becomes as fast. Use it as `octets.NAME`, with `from pellucid cimport octets`.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.ref cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t

# For a piece of a byte string, data[start:end], the function of Python's makes a slice object and two
# integers first. This takes its place.
cdef extern from *:
    """
    static PyObject *pellucid_piece(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
        if (!PyBytes_CheckExact(data) || start < 0 || end < 0)
            return PySequence_GetSlice(data, start, end);
        if (end > PyBytes_GET_SIZE(data))
            end = PyBytes_GET_SIZE(data);
        if (start == 0 && end == PyBytes_GET_SIZE(data))
            return Py_NewRef(data);
        if (start > end)
            start = end;
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start);
    }
    #define PySequence_GetSlice pellucid_piece
    #define pellucid_set_size(data, size) Py_SET_SIZE((PyVarObject *) data, size)
    """
    void pellucid_set_size(object data, Py_ssize_t size)

cdef extern from "Python.h":
    object PyMemoryView_FromObject(object made)
    Py_buffer *PyMemoryView_GET_BUFFER(object view)
    double PyFloat_Unpack8(const char *p, int little) except? -1
    int PyFloat_Pack8(double x, char *p, int little) except -1


cdef inline float_at(bytes data, Py_ssize_t pos):
    if pos < 0 or pos + 8 > len(data):
        raise IndexError("a float is cut off")
    return PyFloat_Unpack8(PyBytes_AS_STRING(data) + pos, 0)


cdef inline bytes float_item(double value):
    cdef char item[9]
    item[0] = <char> 0x84
    PyFloat_Pack8(value, &item[1], 0)
    return PyBytes_FromStringAndSize(item, 9)


# Six bytes are written at the most. Gives how many, 0 if it does not fit in four bytes.
cdef inline int _put(object value, unsigned char *item) except -1:
    cdef int overflow = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef unsigned char kind = 0x81
    cdef unsigned long n
    cdef int size = 0
    if overflow or number < -0x80000000LL or number >= 0x80000000LL:
        return 0
    if number < 0:
        kind = 0x83
        number = -number
    n = <unsigned long> number
    while n >= 0x80:
        item[size] = n & 0x7F
        n >>= 7
        size += 1
    item[size] = <unsigned char> n
    item[size + 1] = kind
    return size + 2


cdef inline bytes small_int(object value):
    cdef unsigned char item[6]
    cdef int size = _put(value, item)
    return PyBytes_FromStringAndSize(<char *> item, size) if size else None


cdef inline Py_ssize_t write_ints(object values, list out) except -1:
    cdef unsigned char items[4096]
    cdef bint is_list = PyList_CheckExact(values)
    cdef Py_ssize_t count, done = 0, filled = 0
    cdef PyObject *value
    cdef int size
    if is_list:
        count = PyList_GET_SIZE(values)
    elif PyTuple_CheckExact(values):
        count = PyTuple_GET_SIZE(values)
    else:
        return 0
    # No Python code runs in here, so that nothing changes meanwhile.
    while done < count:
        if is_list:
            value = <PyObject *> PyList_GET_ITEM(values, done)
        else:
            value = <PyObject *> PyTuple_GET_ITEM(values, done)
        if not PyLong_CheckExact(<object> value):
            break
        if filled > 4096 - 6:
            out.append(PyBytes_FromStringAndSize(<char *> items, filled))
            filled = 0
        size = _put(<object> value, &items[filled])
        if size == 0:
            break
        filled += size
        done += 1
    if filled:
        out.append(PyBytes_FromStringAndSize(<char *> items, filled))
    return done


# A byte string may be written, and made shorter, as long as nobody else has it: nothing has been
# cleared, and nothing is copied. Views hold it too, so that none outlives its bytes.
cdef inline object room(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)


cdef inline object writable(object made):
    cdef object view = PyMemoryView_FromObject(made)
    PyMemoryView_GET_BUFFER(view).readonly = 0
    return view


cdef inline bytes written(object made, Py_ssize_t size):
    PyBytes_AS_STRING(made)[size] = 0
    pellucid_set_size(made, size)
    return made


# The framer's own loop is faster there.
cdef inline (int64_t, int64_t) skip_ints(bytes data, int64_t pos, int64_t need, int64_t bound):
    return pos, need
