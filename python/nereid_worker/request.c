/* Requests as execute() gets them and the responses that it returns: the bases of the classes in request.py, which have what is rarer. */
#include "core.h"

#include <structmember.h>

enum { kDone = 0 /* channel.py */ };

/* Of a request. The first are those of a message; NULL is None. */
enum {
  kId,
  kCell,
  kEvent,
  kRequestId,
  kCorrelation,
  kFlags,
  kTimeout,
  kParameters,
  kRequested,
  kInputs,
  kWireFields,
  kBlock = kWireFields,
  kContext,
  kSender,
  kRelease,
  kCancellation,
  kModelName,
  kModelVersion,
  kPreferredMemory,
  kTrace,
  kRequestFields
};

typedef struct {
  PyObject ob_base;
  PyObject* field[kRequestFields];
} Request;

typedef struct {
  PyObject ob_base;
  PyObject *tensors, *error, *parameters; /* a list of Tensor, a TritonError or NULL, JSON or "" */
} Response;

static struct {
  PyObject *request, *response, *checked;
} use;
static PyObject* nothing; /* "" */

/* use_request(InferenceRequest, InferenceResponse, checked(output_tensors, error, parameters) -> tensors, error, parameters) */
PyObject* UseRequest(PyObject* self, PyObject* args) {
  (void)self;
  if (!PyArg_ParseTuple(args, "OOO", &use.request, &use.response, &use.checked)) return NULL;
  Py_INCREF(args); /* for the life of the process */
  Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ requests */

static int ClearRequest(PyObject* object) {
  Forget(((Request*)object)->field, kRequestFields);
  return 0;
}

static int TraverseRequest(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  for (int i = 0; i < kRequestFields; ++i) Py_VISIT(((Request*)object)->field[i]);
  return 0;
}

static void DeallocRequest(PyObject* object) {
  PyObject_GC_UnTrack(object);
  ClearRequest(object);
  FreeObject(object);
}

/* requests(wires, block, at, context) -> a list of InferenceRequest: of a message of the server, with its tensors (tensor.c). */
PyObject* Requests(PyObject* self, PyObject* args) {
  PyObject *wires, *block, *context;
  unsigned long long at;
  (void)self;
  if (!PyArg_ParseTuple(args, "O!OKO", &PyTuple_Type, &wires, &block, &at, &context)) return NULL;
  Py_ssize_t count = PyTuple_Size(wires);
  PyObject* list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; ++i) {
    PyObject* wire = PyTuple_GetItem(wires, i);
    Request* request = NULL;
    if (!PyTuple_Check(wire) || PyTuple_Size(wire) != kWireFields) {
      PyErr_SetString(PyExc_ValueError, "a request of the server has the wrong fields");
    } else if ((request = (Request*)PyType_GenericAlloc((PyTypeObject*)use.request, 0))) {
      for (int field = 0; field < kInputs; ++field) {
        request->field[field] = PyTuple_GetItem(wire, field);
        Py_INCREF(request->field[field]);
      }
      Py_INCREF(block);
      Py_INCREF(context);
      request->field[kBlock] = block;
      request->field[kContext] = context;
      if (!(request->field[kInputs] = TensorsOf(PyTuple_GetItem(wire, kInputs), block, at))) {
        Py_DECREF((PyObject*)request);
        request = NULL;
      }
    }
    if (!request || PyList_SetItem(list, i, (PyObject*)request) != 0) {
      Py_DECREF(list);
      return NULL;
    }
  }
  return list;
}

#define FIELD(name, at) {name, T_OBJECT, offsetof(Request, field) + (at) * sizeof(PyObject*), 0, NULL}
static PyMemberDef request_members[] = {
    FIELD("_id", kId),
    FIELD("_cell", kCell),
    FIELD("_event", kEvent),
    FIELD("_request_id", kRequestId),
    FIELD("_correlation_id", kCorrelation),
    FIELD("_flags", kFlags),
    FIELD("_timeout", kTimeout),
    FIELD("_parameters", kParameters),
    FIELD("_requested", kRequested),
    FIELD("_inputs", kInputs),
    FIELD("_block", kBlock),
    FIELD("_context", kContext),
    FIELD("_sender", kSender),
    FIELD("_release", kRelease),
    FIELD("_cancellation", kCancellation),
    FIELD("_model_name", kModelName),
    FIELD("_model_version", kModelVersion),
    FIELD("_preferred_memory", kPreferredMemory),
    FIELD("_trace", kTrace),
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot request_slots[] = {{Py_tp_dealloc, DeallocRequest},
                                      {Py_tp_traverse, TraverseRequest},
                                      {Py_tp_clear, ClearRequest},
                                      {Py_tp_members, request_members},
                                      {0, NULL}};
static PyType_Spec request_spec = {"nereid_worker.core.Request", sizeof(Request), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, request_slots};

/* ------------------------------------------------------------------ responses */

static int AllTensors(PyObject* list) {
  for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) {
    if (!IsTensor(PyList_GetItem(list, i))) return 0;
  }
  return 1;
}

static int InitResponse(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"output_tensors", "error", "parameters", NULL};
  PyObject *tensors = Py_None, *error = Py_None, *parameters = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OOO:InferenceResponse", names, &tensors, &error, &parameters)) return -1;
  if (error == Py_None && parameters == Py_None && PyList_Check(tensors) && AllTensors(tensors)) {
    if (!(tensors = PyList_GetSlice(tensors, 0, PyList_Size(tensors)))) return -1;
    error = NULL;
    parameters = nothing; /* "" */
    Py_INCREF(parameters);
  } else {
    PyObject* found = PyObject_CallFunctionObjArgs(use.checked, tensors, error, parameters, NULL);
    if (!found) return -1;
    int fits = PyArg_ParseTuple(found, "O!OU", &PyList_Type, &tensors, &error, &parameters);
    if (fits) {
      if (error == Py_None) error = NULL;
      Py_INCREF(tensors);
      Py_XINCREF(error);
      Py_INCREF(parameters);
    }
    Py_DECREF(found);
    if (!fits) return -1;
  }
  Response* self = (Response*)object;
  PyObject* old[] = {self->tensors, self->error, self->parameters};
  self->tensors = tensors;
  self->error = error;
  self->parameters = parameters;
  Forget(old, 3);
  return 0;
}

static int ClearResponse(PyObject* object) {
  Forget(&((Response*)object)->tensors, 3);
  return 0;
}

static int TraverseResponse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(((Response*)object)->tensors);
  Py_VISIT(((Response*)object)->error);
  return 0;
}

static void DeallocResponse(PyObject* object) {
  PyObject_GC_UnTrack(object);
  ClearResponse(object);
  FreeObject(object);
}

static int IsPlain(PyObject* response) {
  return PyObject_TypeCheck(response, (PyTypeObject*)use.response) && ((Response*)response)->tensors && !((Response*)response)->error;
}

static int PutResponse(Buffer* buffer, Response* response, PyObject* requested, PyObject* copies, uint64_t* at) {
  return PutArray(buffer, 3) && PutNil(buffer) && Put(buffer, response->parameters, 1) &&
         PutTensors(buffer, response->tensors, requested, copies, at);
}

/* answer(requests, responses) -> what push() takes, when execute has returned a response without error for each request; else None. */
PyObject* Answer(PyObject* self, PyObject* args) {
  PyObject *requests, *responses;
  (void)self;
  if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &requests, &responses)) return NULL;
  Py_ssize_t count = PyList_Size(requests);
  if (!PyList_Check(responses) || PyList_Size(responses) != count) Py_RETURN_NONE;
  PyObject* copies = PyList_New(0);
  Buffer packed = {NULL, 0, 0};
  uint64_t at = 0;
  int plain = 1,
      done = copies && PutArray(&packed, 3) && PutUnsigned(&packed, kDone) && PutNil(&packed) && PutArray(&packed, (size_t)count);
  for (Py_ssize_t i = 0; plain && done && i < count; ++i) {
    /* Both are looked at again each time: code of the model may run between, a comparison of names or the text of an element. */
    PyObject *response = PyList_GetItem(responses, i), *request = PyList_GetItem(requests, i);
    done = response && request;
    plain = done && IsPlain(response) && PyObject_TypeCheck(request, (PyTypeObject*)use.request) && ((Request*)request)->field[kRequested];
    if (!plain) break;
    Py_INCREF(response);
    Py_INCREF(request);
    done = PutResponse(&packed, (Response*)response, ((Request*)request)->field[kRequested], copies, &at);
    Py_DECREF(response);
    Py_DECREF(request);
  }
  PyObject* result = NULL;
  if (done && plain) {
    result = Prepared(&packed, copies);
  } else if (done) {
    Py_INCREF(Py_None);
    result = Py_None;
  }
  free(packed.data);
  Py_XDECREF(copies);
  return result;
}

static PyMemberDef response_members[] = {{"_tensors", T_OBJECT, offsetof(Response, tensors), READONLY, NULL},
                                         {"_error", T_OBJECT, offsetof(Response, error), READONLY, NULL},
                                         {"_parameters", T_OBJECT, offsetof(Response, parameters), 0, NULL},
                                         {NULL, 0, 0, 0, NULL}};
static PyType_Slot response_slots[] = {{Py_tp_init, InitResponse},   {Py_tp_dealloc, DeallocResponse},  {Py_tp_traverse, TraverseResponse},
                                       {Py_tp_clear, ClearResponse}, {Py_tp_members, response_members}, {0, NULL}};
static PyType_Spec response_spec = {"nereid_worker.core.Response", sizeof(Response), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, response_slots};

int AddRequest(PyObject* module) {
  nothing = PyUnicode_FromString("");
  PyObject *request = PyType_FromSpec(&request_spec), *response = PyType_FromSpec(&response_spec);
  return nothing && request && response && PyModule_AddObject(module, "Request", request) == 0 &&
         PyModule_AddObject(module, "Response", response) == 0;
}
