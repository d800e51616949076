/* What every request does with tensors: the base of the class Tensor, which is in tensor.py with all that is rarer. A small request spends
 * most of its time in the worker here; in Python this took twice as long. */
#include "core.h"

#include <structmember.h>

enum {
  kBytes = 13,   /* datatypes.py */
  kSmall = 4096, /* copying so little into the message at once is cheaper than a second look at it */
};

/* of a tensor in a message of the server; the last is 0 when it lies in the message's block */
enum { kName, kDatatype, kShape, kOffset, kSize, kOwn, kPartFields };

typedef struct {
  PyObject ob_base;
  PyObject *name, *shape; /* a str, a tuple of ints */
  PyObject* array;        /* NumPy's; NULL until asked for */
  PyObject* memory;       /* a ctypes array in which the bytes lie at `offset`; NULL: they are the array's */
  unsigned long long offset, size;
  int datatype;
  int plain; /* an array is NumPy's own and its bytes are those of the wire */
} Tensor;

static struct {
  PyObject *type, *ndarray, *to_numpy, *of_numpy, *checked, *made, *encoded, *block_at;
} use;
static PyObject *dtype_name, *shape_name, *nbytes_name, *tobytes_name;

/* use_tensor(Tensor, numpy.ndarray, dtypes by number or None, numbers by dtype, and what is left to Python:
 * checked(name, array) -> number, made(tensor) -> array, encoded(tensor, copies) -> size, block_at(content) -> memory) */
PyObject* UseTensor(PyObject* self, PyObject* args) {
  (void)self;
  if (!PyArg_ParseTuple(args, "OOO!O!OOOO", &use.type, &use.ndarray, &PyTuple_Type, &use.to_numpy, &PyDict_Type, &use.of_numpy,
                        &use.checked, &use.made, &use.encoded, &use.block_at)) {
    return NULL;
  }
  Py_INCREF(args); /* for the life of the process */
  Py_RETURN_NONE;
}

int IsTensor(PyObject* object) {
  return PyObject_TypeCheck(object, (PyTypeObject*)use.type);
}

static int Init(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "numpy_array", NULL};
  PyObject *name, *array, *number = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO:Tensor", names, &name, &array)) return -1;
  if (PyUnicode_Check(name) && PyUnicode_GetLength(name) > 0 && PyObject_IsInstance(array, use.ndarray) == 1) {
    PyObject* dtype = PyObject_GetAttr(array, dtype_name);
    number = dtype ? PyDict_GetItemWithError(use.of_numpy, dtype) : NULL;
    Py_XINCREF(number);
    Py_XDECREF(dtype);
  }
  if (PyErr_Occurred()) return -1;
  int known = number != NULL;
  if (!known && !(number = PyObject_CallFunctionObjArgs(use.checked, name, array, NULL))) return -1;
  int datatype = (int)PyLong_AsLong(number);
  Py_DECREF(number);
  PyObject* shape = PyObject_GetAttr(array, shape_name);
  if (!shape) return -1;
  Tensor* self = (Tensor*)object;
  PyObject* old[] = {self->name, self->shape, self->array, self->memory};
  Py_INCREF(name);
  Py_INCREF(array);
  self->name = name;
  self->shape = shape;
  self->array = array;
  self->memory = NULL;
  self->datatype = datatype;
  self->plain = known && datatype != kBytes && (PyObject*)Py_TYPE(array) == use.ndarray;
  Forget(old, 4);
  return 0;
}

static int Clear(PyObject* object) {
  Tensor* self = (Tensor*)object;
  PyObject* old[] = {self->name, self->shape, self->array, self->memory};
  self->name = self->shape = self->array = self->memory = NULL;
  Forget(old, 4);
  return 0;
}

static int Traverse(PyObject* object, visitproc visit, void* arg) {
  Tensor* self = (Tensor*)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->name);
  Py_VISIT(self->shape);
  Py_VISIT(self->array);
  Py_VISIT(self->memory);
  return 0;
}

static void Dealloc(PyObject* object) {
  PyObject_GC_UnTrack(object);
  Clear(object);
  FreeObject(object);
}

static PyObject* AsNumpy(PyObject* object, PyObject* unused) {
  (void)unused;
  Tensor* self = (Tensor*)object;
  if (!self->array) {
    PyObject *dtype = PyTuple_GetItem(use.to_numpy, self->datatype), *array = NULL;
    if (!dtype) return NULL;
    if (self->memory && self->datatype != kBytes && dtype != Py_None) {
      PyObject* offset = PyLong_FromUnsignedLongLong(self->offset);
      if (offset) array = PyObject_CallFunctionObjArgs(use.ndarray, self->shape, dtype, self->memory, offset, NULL);
      Py_XDECREF(offset);
    } else {
      array = PyObject_CallFunctionObjArgs(use.made, object, NULL);
    }
    if (!array) return NULL;
    PyObject* old = self->array;
    self->array = array;
    Py_XDECREF(old);
  }
  Py_INCREF(self->array);
  return self->array;
}

static PyObject* OfMemory(PyObject* name, int datatype, PyObject* shape, PyObject* memory, unsigned long long offset,
                          unsigned long long size) {
  Tensor* self = (Tensor*)PyType_GenericAlloc((PyTypeObject*)use.type, 0);
  if (!self) return NULL;
  Py_INCREF(name);
  Py_INCREF(shape);
  Py_INCREF(memory);
  self->name = name;
  self->shape = shape;
  self->memory = memory;
  self->offset = offset;
  self->size = size;
  self->datatype = datatype;
  self->plain = datatype != kBytes;
  return (PyObject*)self;
}

/* tensor_of(name, datatype, shape, memory, offset, size): its bytes lie at memory[offset:offset + size]. */
PyObject* TensorOf(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *name, *shape, *memory;
  int datatype;
  unsigned long long offset, size;
  if (!PyArg_ParseTuple(args, "UiO!OKK", &name, &datatype, &PyTuple_Type, &shape, &memory, &offset, &size)) return NULL;
  return OfMemory(name, datatype, shape, memory, offset, size);
}

PyObject* TensorsOf(PyObject* parts, PyObject* block, unsigned long long at) {
  Py_ssize_t count = PyTuple_Size(parts);
  PyObject* list = count < 0 ? NULL : PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; ++i) {
    PyObject *part = PyTuple_GetItem(parts, i), *tensor = NULL;
    if (PyTuple_Check(part) && PyTuple_Size(part) == kPartFields) {
      PyObject* own = PyTuple_GetItem(part, kOwn);
      unsigned long long apart = PyLong_AsUnsignedLongLong(own);
      PyObject* memory = apart ? PyObject_CallFunctionObjArgs(use.block_at, own, NULL) : block;
      if (memory) {
        tensor = OfMemory(PyTuple_GetItem(part, kName), (int)PyLong_AsLong(PyTuple_GetItem(part, kDatatype)), PyTuple_GetItem(part, kShape),
                          memory, (apart ? apart : at) + PyLong_AsUnsignedLongLong(PyTuple_GetItem(part, kOffset)),
                          PyLong_AsUnsignedLongLong(PyTuple_GetItem(part, kSize)));
      }
      if (apart) Py_XDECREF(memory);
    } else {
      PyErr_SetString(PyExc_ValueError, "a tensor of the server has the wrong fields");
    }
    if (!tensor || PyList_SetItem(list, i, tensor) != 0) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

/* tensors(parts, block, at) -> list of Tensor; see core.h. */
PyObject* Tensors(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *parts, *block;
  unsigned long long at;
  if (!PyArg_ParseTuple(args, "O!OK", &PyTuple_Type, &parts, &block, &at)) return NULL;
  return TensorsOf(parts, block, at);
}

static uint64_t SizeOfShape(const Tensor* tensor) {
  static const unsigned char widths[] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 0, 2}; /* by the numbers of datatypes.py */
  uint64_t size = tensor->datatype >= 0 && tensor->datatype < (int)sizeof widths ? widths[tensor->datatype] : 0;
  for (Py_ssize_t i = 0; i < PyTuple_Size(tensor->shape); ++i) size *= PyLong_AsUnsignedLongLong(PyTuple_GetItem(tensor->shape, i));
  return size;
}

/* Appends what has to be copied into the message; the length on the wire, -1 for an error. */
static long long Bytes(Tensor* tensor, PyObject* copies) {
  int plain = tensor->plain && tensor->array;
  PyObject* number =
      plain ? PyObject_GetAttr(tensor->array, nbytes_name) : PyObject_CallFunctionObjArgs(use.encoded, (PyObject*)tensor, copies, NULL);
  if (!number) return -1;
  long long size = PyLong_AsLongLong(number);
  Py_DECREF(number);
  if (size < 0 || !plain) return size;
  if ((uint64_t)size != SizeOfShape(tensor)) {
    if (!PyErr_Occurred())
      PyErr_Format(PyExc_ValueError, "the array of Tensor '%U' was resized: it has %lld bytes, its shape is %R", tensor->name, size,
                   tensor->shape);
    return -1;
  }
  PyObject* item = size > kSmall ? tensor->array : PyObject_CallMethodObjArgs(tensor->array, tobytes_name, NULL);
  if (!item || PyList_Append(copies, item) != 0) size = -1;
  if (item != tensor->array) Py_XDECREF(item);
  return size;
}

int PutTensors(Buffer* buffer, PyObject* tensors, PyObject* requested, PyObject* copies, uint64_t* at) {
  uint32_t count = 0;
  size_t head;
  int done = PutArray(buffer, kManyItems);
  head = buffer->size - 4;
  Py_INCREF(tensors);
  for (Py_ssize_t i = 0; done && i < PyList_Size(tensors); ++i) {
    PyObject* object = PyList_GetItem(tensors, i);
    Tensor* tensor = (Tensor*)object;
    if (!IsTensor(object) || !tensor->name) {
      PyErr_SetString(PyExc_TypeError,
                      "the tensors of a request or response must be pb_utils.Tensor objects, each made of a name and an array");
      done = 0;
      break;
    }
    Py_INCREF(object); /* names may be compared, and arrays asked, by code of the model, which can take the tensor out of its list */
    int wanted = requested == Py_None ? 1 : PySequence_Contains(requested, tensor->name);
    if (wanted != 0) {
      long long size = wanted < 0 ? -1 : Bytes(tensor, copies);
      done = size >= 0 && PutArray(buffer, 5) && Put(buffer, tensor->name, 2) && PutUnsigned(buffer, (uint64_t)tensor->datatype) &&
             Put(buffer, tensor->shape, 2) && PutUnsigned(buffer, *at) && PutUnsigned(buffer, (uint64_t)size);
      *at = (*at + (uint64_t)size + 63) & ~63ULL;
      ++count;
    }
    Py_DECREF(object);
  }
  Py_DECREF(tensors);
  if (done) SetCount(buffer, head, count);
  return done;
}

/* encode(tensors, requested, copies, at) -> (their parts of a message, packed, where a next tensor would start); see core.h. */
PyObject* Encode(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *tensors, *requested, *copies;
  unsigned long long start;
  if (!PyArg_ParseTuple(args, "O!OO!K", &PyList_Type, &tensors, &requested, &PyList_Type, &copies, &start)) return NULL;
  Buffer packed = {NULL, 0, 0};
  uint64_t at = start;
  PyObject* result = NULL;
  if (PutTensors(&packed, tensors, requested, copies, &at)) {
    result = Py_BuildValue("NK", PyByteArray_FromStringAndSize(packed.data, (Py_ssize_t)packed.size), (unsigned long long)at);
  }
  free(packed.data);
  return result;
}

#define MEMBER(name, kind) {"_" #name, kind, offsetof(Tensor, name), READONLY, NULL}
static PyMemberDef members[] = {MEMBER(name, T_OBJECT),      MEMBER(shape, T_OBJECT),   MEMBER(array, T_OBJECT), MEMBER(memory, T_OBJECT),
                                MEMBER(offset, T_ULONGLONG), MEMBER(size, T_ULONGLONG), MEMBER(datatype, T_INT), {NULL, 0, 0, 0, NULL}};
static PyMethodDef methods[] = {{"as_numpy", AsNumpy, METH_NOARGS, "the elements; a view of the server's memory on the way in"},
                                {NULL, NULL, 0, NULL}};
static PyType_Slot slots[] = {{Py_tp_init, Init},
                              {Py_tp_dealloc, Dealloc},
                              {Py_tp_traverse, Traverse},
                              {Py_tp_clear, Clear},
                              {Py_tp_members, members},
                              {Py_tp_methods, methods},
                              {0, NULL}};
static PyType_Spec spec = {"nereid_worker.core.Tensor", sizeof(Tensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                           slots};

int AddTensor(PyObject* module) {
  PyObject* type = PyType_FromSpec(&spec);
  dtype_name = PyUnicode_InternFromString("dtype");
  shape_name = PyUnicode_InternFromString("shape");
  nbytes_name = PyUnicode_InternFromString("nbytes");
  tobytes_name = PyUnicode_InternFromString("tobytes");
  return type && dtype_name && shape_name && nbytes_name && tobytes_name && PyModule_AddObject(module, "Tensor", type) == 0;
}
