/* DLPack capsules, by its published C layout. */
#include "core.h"

typedef struct {
  int32_t type, id;
} DLDevice;
typedef struct {
  uint8_t code, bits;
  uint16_t lanes;
} DLType;
typedef struct {
  void* data;
  DLDevice device;
  int32_t dims;
  DLType type;
  int64_t *shape, *strides;
  uint64_t offset;
} DLTensor;
typedef struct DLManaged {
  DLTensor tensor;
  void* context;
  void (*deleter)(struct DLManaged*);
} DLManaged;

static void DeleteExported(DLManaged* managed) {
  PyGILState_STATE state = PyGILState_Ensure();
  Py_XDECREF((PyObject*)managed->context);
  PyGILState_Release(state);
  free(managed->tensor.shape);
  free(managed);
}

static void ForgetCapsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return; /* somebody took it */
  DLManaged* managed = PyCapsule_GetPointer(capsule, "dltensor");
  if (managed->deleter) managed->deleter(managed);
}

/* to_dlpack(owner, address, code, bits, shape) -> capsule; owner lives as long as it. */
PyObject* ToDlpack(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *owner, *shape;
  unsigned long long address;
  int code, bits;
  if (!PyArg_ParseTuple(args, "OKiiO!", &owner, &address, &code, &bits, &PyTuple_Type, &shape)) return NULL;
  Py_ssize_t dims = PyTuple_Size(shape);
  DLManaged* managed = calloc(1, sizeof(DLManaged));
  int64_t* numbers = malloc(((size_t)dims + 1) * 2 * sizeof(int64_t));
  if (!managed || !numbers) {
    free(managed);
    free(numbers);
    return PyErr_NoMemory();
  }
  int64_t stride = 1;
  for (Py_ssize_t i = dims - 1; i >= 0; --i) {
    numbers[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
    numbers[dims + i] = stride;
    stride *= numbers[i];
  }
  managed->tensor.data = (void*)(uintptr_t)address;
  managed->tensor.device.type = 1; /* CPU */
  managed->tensor.dims = (int32_t)dims;
  managed->tensor.type = (DLType){(uint8_t)code, (uint8_t)bits, 1};
  managed->tensor.shape = numbers;
  managed->tensor.strides = numbers + dims;
  managed->context = owner;
  managed->deleter = DeleteExported;
  PyObject* capsule = PyErr_Occurred() ? NULL : PyCapsule_New(managed, "dltensor", ForgetCapsule);
  if (!capsule) {
    free(numbers);
    free(managed);
    return NULL;
  }
  Py_INCREF(owner);
  return capsule;
}

static void DeleteImported(PyObject* capsule) {
  DLManaged* managed = PyCapsule_GetPointer(capsule, "nereid_dltensor");
  if (managed && managed->deleter) managed->deleter(managed);
}

/* from_dlpack(capsule) -> (owner, address, code, bits, shape, contiguous, device type); the capsule is used up. */
PyObject* FromDlpack(PyObject* self, PyObject* capsule) {
  (void)self;
  DLManaged* managed = PyCapsule_GetPointer(capsule, "dltensor");
  if (!managed) return NULL;
  const DLTensor* tensor = &managed->tensor;
  int contiguous = 1;
  int64_t stride = 1;
  PyObject* shape = PyTuple_New(tensor->dims);
  int empty = 0;
  for (int32_t i = tensor->dims - 1; shape && i >= 0; --i) {
    if (tensor->strides && tensor->shape[i] != 1 && tensor->strides[i] != stride) contiguous = 0;
    stride *= tensor->shape[i];
    if (tensor->shape[i] == 0) empty = 1;
    PyTuple_SetItem(shape, i, PyLong_FromLongLong(tensor->shape[i]));
  }
  if (!shape) return NULL;
  PyObject* owner = PyCapsule_New(managed, "nereid_dltensor", DeleteImported);
  if (!owner || PyCapsule_SetName(capsule, "used_dltensor") != 0) {
    Py_DECREF(shape);
    return NULL;
  }
  int bits = tensor->type.lanes == 1 ? tensor->type.bits : 0;
  return Py_BuildValue("NKiiNii", owner, (unsigned long long)((uintptr_t)tensor->data + tensor->offset), (int)tensor->type.code, bits,
                       shape, contiguous || empty, (int)tensor->device.type);
}
