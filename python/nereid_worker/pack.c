/* The part of MessagePack that messages need; the server's side is src/backends/python/pack.h. */
#include "core.h"

static int Grow(Buffer* buffer, size_t more) {
  if (buffer->size + more <= buffer->capacity) return 1;
  size_t capacity = buffer->capacity ? buffer->capacity : 512;
  while (capacity < buffer->size + more) capacity *= 2;
  char* grown = realloc(buffer->data, capacity);
  if (!grown) {
    PyErr_NoMemory();
    return 0;
  }
  buffer->data = grown;
  buffer->capacity = capacity;
  return 1;
}

static int PutHead(Buffer* buffer, unsigned char tag, uint64_t value, int bytes) {
  if (!Grow(buffer, 9)) return 0;
  buffer->data[buffer->size++] = (char)tag;
  for (int i = bytes - 1; i >= 0; --i) buffer->data[buffer->size++] = (char)(value >> (8 * i));
  return 1;
}

static int PutRaw(Buffer* buffer, const char* data, size_t size) {
  if (!Grow(buffer, size)) return 0;
  memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
  return 1;
}

static int PutBytes(Buffer* buffer, unsigned char tag, PyObject* bytes) {
  char* data;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(bytes, &data, &size) != 0) return 0;
  if ((uint64_t)size > UINT32_MAX) {
    PyErr_Format(PyExc_OverflowError, "%zd bytes are too many for a message", size);
    return 0;
  }
  return PutHead(buffer, tag, (uint64_t)size, 4) && PutRaw(buffer, data, (size_t)size);
}

static int PutInt(Buffer* buffer, PyObject* number) {
  long long value = PyLong_AsLongLong(number);
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    unsigned long long large = PyLong_AsUnsignedLongLong(number);
    if (large == (unsigned long long)-1 && PyErr_Occurred()) return 0;
    return PutHead(buffer, 0xcf, large, 8);
  }
  if (value >= 0 && value < 128) return PutHead(buffer, (unsigned char)value, 0, 0);
  return PutHead(buffer, 0xd3, (uint64_t)value, 8);
}

int PutNil(Buffer* buffer) {
  return PutHead(buffer, 0xc0, 0, 0);
}

int PutUnsigned(Buffer* buffer, uint64_t value) {
  return value < 128 ? PutHead(buffer, (unsigned char)value, 0, 0) : PutHead(buffer, 0xcf, value, 8);
}

int PutArray(Buffer* buffer, size_t size) {
  return size < 16 ? PutHead(buffer, (unsigned char)(0x90 | size), 0, 0) : PutHead(buffer, 0xdd, (uint64_t)size, 4);
}

void SetCount(Buffer* buffer, size_t at, uint32_t count) {
  for (int i = 0; i < 4; ++i) buffer->data[at + (size_t)i] = (char)(count >> (8 * (3 - i)));
}

int Put(Buffer* buffer, PyObject* value, int depth) {
  if (depth > 32) {
    PyErr_SetString(PyExc_ValueError, "the value is nested too deeply");
    return 0;
  }
  if (value == Py_None) return PutHead(buffer, 0xc0, 0, 0);
  if (value == Py_True) return PutHead(buffer, 0xc3, 0, 0);
  if (value == Py_False) return PutHead(buffer, 0xc2, 0, 0);
  if (PyLong_Check(value)) return PutInt(buffer, value);
  if (PyUnicode_Check(value)) {
    PyObject* text = PyUnicode_AsEncodedString(value, "utf-8", "surrogateescape");
    int done = text && PutBytes(buffer, 0xdb, text);
    Py_XDECREF(text);
    return done;
  }
  if (PyBytes_Check(value)) return PutBytes(buffer, 0xc6, value);
  if (PyFloat_Check(value)) {
    double number = PyFloat_AsDouble(value);
    uint64_t bits;
    memcpy(&bits, &number, 8);
    return PutHead(buffer, 0xcb, bits, 8);
  }
  if (PyTuple_Check(value) || PyList_Check(value)) {
    int tuple = PyTuple_Check(value);
    Py_ssize_t size = tuple ? PyTuple_Size(value) : PyList_Size(value);
    if (!PutArray(buffer, (size_t)size)) return 0;
    for (Py_ssize_t i = 0; i < size; ++i) {
      if (!Put(buffer, tuple ? PyTuple_GetItem(value, i) : PyList_GetItem(value, i), depth + 1)) return 0;
    }
    return 1;
  }
  if (PyByteArray_Check(value)) return PutRaw(buffer, PyByteArray_AsString(value), (size_t)PyByteArray_Size(value));
  PyErr_SetString(PyExc_TypeError, "a message holds None, bool, int, float, str, bytes, tuples and lists only");
  return 0;
}

static PyObject* Short(void) {
  PyErr_SetString(PyExc_ValueError, "a message of the server is cut short");
  return NULL;
}

static int Head(Reader* reader, int bytes, uint64_t* value) {
  if (reader->end - reader->at < bytes) return 0;
  *value = 0;
  for (int i = 0; i < bytes; ++i) *value = *value << 8 | *reader->at++;
  return 1;
}

static PyObject* GetText(Reader* reader, uint64_t size) {
  if ((uint64_t)(reader->end - reader->at) < size) return Short();
  PyObject* text = PyUnicode_DecodeUTF8((const char*)reader->at, (Py_ssize_t)size, "surrogateescape");
  reader->at += size;
  return text;
}

static PyObject* GetTuple(Reader* reader, uint64_t size, int depth) {
  if ((uint64_t)(reader->end - reader->at) < size || depth > 32) return Short();
  PyObject* tuple = PyTuple_New((Py_ssize_t)size);
  for (uint64_t i = 0; tuple && i < size; ++i) {
    PyObject* item = Get(reader, depth + 1);
    if (!item || PyTuple_SetItem(tuple, (Py_ssize_t)i, item) != 0) {
      Py_DECREF(tuple);
      return NULL;
    }
  }
  return tuple;
}

PyObject* Get(Reader* reader, int depth) {
  if (reader->at == reader->end) return Short();
  unsigned char tag = *reader->at++;
  uint64_t value;
  if (tag < 0x80) return PyLong_FromLong(tag);
  if (tag >= 0xe0) return PyLong_FromLong((signed char)tag);
  if (tag >= 0x90 && tag < 0xa0) return GetTuple(reader, tag & 15, depth);
  if (tag >= 0xa0 && tag < 0xc0) return GetText(reader, tag & 31);
  switch (tag) {
    case 0xc0: Py_RETURN_NONE;
    case 0xc2: Py_RETURN_FALSE;
    case 0xc3: Py_RETURN_TRUE;
    case 0xcb: {
      double number;
      if (!Head(reader, 8, &value)) return Short();
      memcpy(&number, &value, 8);
      return PyFloat_FromDouble(number);
    }
    case 0xcf: return Head(reader, 8, &value) ? PyLong_FromUnsignedLongLong(value) : Short();
    case 0xd3: return Head(reader, 8, &value) ? PyLong_FromLongLong((long long)value) : Short();
    case 0xdb: return Head(reader, 4, &value) ? GetText(reader, value) : Short();
    case 0xdd: return Head(reader, 4, &value) ? GetTuple(reader, value, depth) : Short();
    case 0xc6: {
      if (!Head(reader, 4, &value) || (uint64_t)(reader->end - reader->at) < value) return Short();
      PyObject* bytes = PyBytes_FromStringAndSize((const char*)reader->at, (Py_ssize_t)value);
      reader->at += value;
      return bytes;
    }
    default: PyErr_Format(PyExc_ValueError, "a message of the server holds the unknown tag %d", (int)tag); return NULL;
  }
}
