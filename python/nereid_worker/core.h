/* What the parts of the extension share. All on the limited API of Python 3.9, so that one build serves every later Python. */
#ifndef NEREID_WORKER_CORE_H_
#define NEREID_WORKER_CORE_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Lets go of each of so many references, which are NULL before any of them is gone. */
static inline void Forget(PyObject** held, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    PyObject* old = held[i];
    held[i] = NULL;
    Py_XDECREF(old);
  }
}

/* The end of a deallocator: gives the object's memory back, and its reference to its type, which is on the heap. */
static inline void FreeObject(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

/* pack.c: messages. What returns int returns 0 for a failure, with a Python error set. */
typedef struct {
  char* data; /* malloc's; the caller frees it */
  size_t size, capacity;
} Buffer;
typedef struct {
  const unsigned char *at, *end;
} Reader;
enum { kManyItems = 16 /* as many take a count of four bytes */ };
int PutNil(Buffer* buffer);
int PutUnsigned(Buffer* buffer, uint64_t value);
int PutArray(Buffer* buffer, size_t size);                /* as many values follow */
void SetCount(Buffer* buffer, size_t at, uint32_t count); /* of an array with a count of four bytes, which lie there */
int Put(Buffer* buffer, PyObject* value, int depth);      /* a bytearray holds what has been packed already; depth: how deeply nested */
PyObject* Get(Reader* reader, int depth);

/* core.c: a message in a block of our region, with what `copies` holds behind it, one after another, each 64-aligned: bytes as they are, a
 * list of bytes in wire form, an array. What push() takes. */
PyObject* Prepared(const Buffer* packed, PyObject* copies);

/* dlpack.c */
PyObject* ToDlpack(PyObject* self, PyObject* args);
PyObject* FromDlpack(PyObject* self, PyObject* capsule);

/* tensor.c */
int AddTensor(PyObject* module);
int IsTensor(PyObject* object);
/* Those of a message of the server, a list: they lie behind it in its block, from `at` on, or each in a block of its own. */
PyObject* TensorsOf(PyObject* parts, PyObject* block, unsigned long long at);
/* Of those whose name is in `requested` (None: of all) what a message says. Appends to `copies` what Prepared() takes; `at` is where the
 * first will start, counted from the first of the message, and then where a next one would. */
int PutTensors(Buffer* buffer, PyObject* tensors, PyObject* requested, PyObject* copies, uint64_t* at);
PyObject* UseTensor(PyObject* self, PyObject* args);
PyObject* TensorOf(PyObject* self, PyObject* args);
PyObject* Tensors(PyObject* self, PyObject* args);
PyObject* Encode(PyObject* self, PyObject* args);

/* request.c */
int AddRequest(PyObject* module);
PyObject* UseRequest(PyObject* self, PyObject* args);
PyObject* Requests(PyObject* self, PyObject* args);
PyObject* Answer(PyObject* self, PyObject* args);

#endif
