/* What a worker cannot do in Python: the shared rings, futexes and blocks (here), messages (pack.c), what every request needs of
 * tensors, requests and responses (tensor.c, request.c), DLPack capsules (dlpack.c). See src/backends/python/shared/channel.h. */
#include "core.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "backends/python/shared/arena.h"
#include "backends/python/shared/channel.h"

static ChannelControl* control;
static char* in_base; /* the server's region */
static uint64_t in_max;
static Arena out;               /* ours; the GIL guards it */
static int first_event, events; /* descriptors that wake threads of the server */
static PyObject* fill;          /* fill(array, offset, bytes) copies an array into our region */
static int forked;              /* this is a child of the worker, which must leave the channel alone */

/* The worker must not outlive the server, even when Python is busy or stuck: this thread needs neither the GIL nor Python. */
static void* Watch(void* fd) {
  struct pollfd life = {(int)(intptr_t)fd, POLLIN, 0};
  while (poll(&life, 1, -1) < 0 && errno == EINTR) {
  }
  kill(0, SIGKILL); /* the whole group: what the model has started, too */
  _exit(1);
}

static void Forked(void) {
  forked = 1;
}

static void* Map(int fd, uint64_t size) {
  void* base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) {
    PyErr_SetFromErrno(PyExc_OSError);
    return NULL;
  }
  return base;
}

static PyObject* Attach(PyObject* self, PyObject* args) {
  int control_fd, in_fd, out_fd, life_fd;
  unsigned long long initial, growth, max;
  (void)self;
  if (!PyArg_ParseTuple(args, "iiiiiiKKKO", &control_fd, &in_fd, &out_fd, &life_fd, &first_event, &events, &initial, &growth, &max,
                        &fill)) {
    return NULL;
  }
  Py_INCREF(fill);
  if (events < 1 || events > kEvents) {
    PyErr_SetString(PyExc_ValueError, "the number of events makes no sense");
    return NULL;
  }
  if (!(control = Map(control_fd, sizeof(ChannelControl)))) return NULL;
  if (control->version != kChannelVersion) {
    PyErr_Format(PyExc_RuntimeError, "the server speaks version %d of the channel, this nereid_worker version %d", (int)control->version,
                 (int)kChannelVersion);
    return NULL;
  }
  in_max = max;
  if (!(in_base = Map(in_fd, max))) return NULL;
  char* out_base = Map(out_fd, max);
  if (!out_base) return NULL;
  if (!ArenaInit(&out, out_base, out_fd, initial, growth, max)) return PyErr_NoMemory();
  pthread_atfork(NULL, NULL, Forked);
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int failed = pthread_create(&thread, &attributes, Watch, (void*)(intptr_t)life_fd);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (failed) {
    errno = failed;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  return Py_BuildValue("KK", (unsigned long long)(uintptr_t)in_base, (unsigned long long)(uintptr_t)out_base);
}

static double Seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* (offset of the block's content, offset of its tensors, message), or None after the limit. */
static PyObject* Wait(ChannelRing* ring, ChannelBell* bell, double limit) {
  ChannelEntry entry;
  double until = 0, left = limit;
  for (;;) {
    uint32_t seen = BellRead(bell);
    if (RingPop(ring, &entry) > 0) break;
    if (limit >= 0 && until == 0) {
      until = Seconds() + limit;
    } else if (limit >= 0 && (left = until - Seconds()) <= 0) {
      Py_RETURN_NONE;
    }
    struct timespec wait = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    PyThreadState* state = PyEval_SaveThread();
    BellWait(bell, seen, limit < 0 ? NULL : &wait);
    PyEval_RestoreThread(state);
    if (PyErr_CheckSignals() != 0) return NULL;
  }
  const char* content = in_base + entry.offset;
  uint32_t packed;
  memcpy(&packed, content, 4);
  Reader reader = {(const unsigned char*)content + 4, (const unsigned char*)content + 4 + packed};
  PyObject* message = Get(&reader, 0);
  if (!message) return NULL;
  PyObject* found = Py_BuildValue("KKO", (unsigned long long)entry.offset,
                                  (unsigned long long)(entry.offset + AlignBlock(4 + (uint64_t)packed)), message);
  Py_DECREF(message);
  return found;
}

static PyObject* WaitCall(PyObject* self, PyObject* limit) {
  (void)self;
  double seconds = PyFloat_AsDouble(limit);
  if (PyErr_Occurred()) return NULL;
  return Wait(&control->calls, &control->worker_bell, seconds);
}

static PyObject* WaitReply(PyObject* self, PyObject* unused) {
  (void)self;
  (void)unused;
  return Wait(&control->replies, &control->reply_bell, -1);
}

/* Hold(content): whoever has it reads the block, which is the server's again once it is gone. */
typedef struct {
  PyObject ob_base;
  uint64_t content; /* 0: none */
} Hold;

static int InitHold(PyObject* object, PyObject* args, PyObject* keywords) {
  unsigned long long at;
  (void)keywords;
  if (!PyArg_ParseTuple(args, "K", &at)) return -1;
  if (at < kBlockHeader || at >= in_max || ((Hold*)object)->content) {
    PyErr_SetString(PyExc_ValueError, "no block lies there");
    return -1;
  }
  ((Hold*)object)->content = at;
  return 0;
}

static void DeallocHold(PyObject* object) {
  if (((Hold*)object)->content && !forked) BlockRelease(in_base + ((Hold*)object)->content);
  FreeObject(object);
}

static PyType_Slot hold_slots[] = {{Py_tp_init, InitHold}, {Py_tp_dealloc, DeallocHold}, {0, NULL}};
static PyType_Spec hold_spec = {"nereid_worker.core.Hold", sizeof(Hold), 0, Py_TPFLAGS_DEFAULT, hold_slots};

/* An element of a BYTES tensor: bytes as they are, anything else as its text. A new reference. */
static PyObject* ElementBytes(PyObject* element) {
  if (PyBytes_Check(element)) {
    Py_INCREF(element);
    return element;
  }
  PyObject* text = PyObject_Str(element);
  if (!text) return NULL;
  PyObject* bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
  Py_DECREF(text);
  return bytes;
}

/* list -> (list with every element as bytes, length of the wire form). */
static PyObject* WireSize(PyObject* self, PyObject* list) {
  (void)self;
  if (!PyList_Check(list)) {
    PyErr_SetString(PyExc_TypeError, "a list is expected");
    return NULL;
  }
  Py_ssize_t count = PyList_Size(list);
  unsigned long long size = 4 * (unsigned long long)count;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* element = PyList_GetItem(list, i);
    if (!PyBytes_Check(element)) {
      element = ElementBytes(element);
      if (!element || PyList_SetItem(list, i, element) != 0) return NULL;
    }
    if (PyBytes_Size(element) > UINT32_MAX) {
      PyErr_SetString(PyExc_ValueError, "an element of a BYTES tensor is longer than 4 GiB");
      return NULL;
    }
    size += (unsigned long long)PyBytes_Size(element);
  }
  return PyLong_FromUnsignedLongLong(size);
}

static char* WriteWire(char* to, PyObject* list) {
  Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t i = 0; i < count; ++i) {
    char* data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(PyList_GetItem(list, i), &data, &size) != 0) return NULL;
    uint32_t prefix = (uint32_t)size;
    memcpy(to, &prefix, 4);
    memcpy(to + 4, data, (size_t)size);
    to += 4 + size;
  }
  return to;
}

/* The bytes that `item` needs, in a message's room for tensors: bytes are copied, a list of bytes is written in wire form, an array is
 * filled in by Python. */
static int SizeOf(PyObject* item, uint64_t* size) {
  PyObject* number;
  if (PyBytes_Check(item)) {
    *size = (uint64_t)PyBytes_Size(item);
    return 1;
  }
  number = PyList_Check(item) ? WireSize(NULL, item) : PyObject_GetAttrString(item, "nbytes");
  if (!number) return 0;
  *size = PyLong_AsUnsignedLongLong(number);
  Py_DECREF(number);
  return !PyErr_Occurred();
}

static int Write(char* to, PyObject* item, uint64_t size) {
  char* data;
  Py_ssize_t bytes;
  if (PyBytes_Check(item)) {
    if (PyBytes_AsStringAndSize(item, &data, &bytes) != 0) return 0;
    memcpy(to, data, (size_t)bytes);
    return 1;
  }
  if (PyList_Check(item)) return WriteWire(to, item) != NULL;
  PyObject* done = PyObject_CallFunction(fill, "OKK", item, (unsigned long long)(to - out.base), (unsigned long long)size);
  Py_XDECREF(done);
  return done != NULL;
}

PyObject* Prepared(const Buffer* packed, PyObject* copies) {
  Py_ssize_t count = PyList_Size(copies);
  typedef struct {
    uint64_t start, size;
  } Place;
  Place* places = malloc(((size_t)count + 1) * sizeof(Place));
  char* content = NULL;
  int done = 0;
  if (!places) {
    PyErr_NoMemory();
    goto end;
  }
  if (forked) {
    PyErr_SetString(PyExc_RuntimeError, "a process that a model has forked cannot speak with the server");
    goto end;
  }
  if (packed->size > UINT32_MAX) {
    PyErr_Format(PyExc_OverflowError, "a message of %zu bytes is too long", packed->size);
    goto end;
  }
  uint64_t size = AlignBlock(4 + packed->size);
  for (Py_ssize_t i = 0; i < count; ++i) {
    places[i].start = size;
    if (!SizeOf(PyList_GetItem(copies, i), &places[i].size)) goto end;
    size = AlignBlock(size + places[i].size);
  }
  if (!(content = ArenaAllocate(&out, size, count > 0))) {
    PyErr_Format(PyExc_MemoryError, "%llu bytes do not fit in the shared memory of this worker, which may hold %llu",
                 (unsigned long long)size, (unsigned long long)ArenaTensorsEnd(&out));
    goto end;
  }
  uint32_t length = (uint32_t)packed->size;
  memcpy(content, &length, 4);
  memcpy(content + 4, packed->data, packed->size);
  done = 1;
  for (Py_ssize_t i = 0; done && i < count; ++i) done = Write(content + places[i].start, PyList_GetItem(copies, i), places[i].size);
  if (!done) BlockRelease(content);
end:
  free(places);
  return done ? PyLong_FromUnsignedLongLong((unsigned long long)(content - out.base)) : NULL;
}

/* prepare(message, copies) -> what push() takes */
static PyObject* Prepare(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *message, *copies;
  if (!PyArg_ParseTuple(args, "OO!", &message, &PyList_Type, &copies)) return NULL;
  Buffer packed = {NULL, 0, 0};
  PyObject* prepared = Put(&packed, message, 0) ? Prepared(&packed, copies) : NULL;
  free(packed.data);
  return prepared;
}

/* push(prepared, event): the message leaves; the thread of the server that waits for that event looks at it. */
static PyObject* Push(PyObject* self, PyObject* args) {
  (void)self;
  unsigned long long offset;
  unsigned int event;
  if (!PyArg_ParseTuple(args, "KI", &offset, &event)) return NULL;
  if (event >= (unsigned int)events) event = 0;
  char* content = out.base + offset;
  ChannelEntry entry = {offset, ((uint64_t*)(content - kBlockHeader))[1] - kBlockHeader};
  for (;;) {
    uint32_t seen = BellRead(&control->room_bell);
    if (RingPush(&control->from_worker, entry)) break;
    PyThreadState* state = PyEval_SaveThread();
    BellWait(&control->room_bell, seen, NULL);
    PyEval_RestoreThread(state);
  }
  if (!__atomic_exchange_n(&control->told[event], 1, __ATOMIC_SEQ_CST)) {
    uint64_t one = 1;
    while (write(first_event + (int)event, &one, 8) < 0 && errno == EINTR) {
    }
  }
  Py_RETURN_NONE;
}

/* split(address, size, count) -> the elements of a BYTES tensor's wire form. */
static PyObject* Split(PyObject* self, PyObject* args) {
  (void)self;
  unsigned long long address, size;
  if (!PyArg_ParseTuple(args, "KK", &address, &size)) return NULL;
  const char *at = (const char*)(uintptr_t)address, *end = at + size;
  PyObject* list = PyList_New(0);
  while (list && at < end) {
    uint32_t length = 0;
    if (end - at >= 4) memcpy(&length, at, 4);
    if (end - at < 4 || (uint64_t)(end - at - 4) < length) {
      PyErr_SetString(PyExc_ValueError, "a BYTES tensor ends in the middle of an element");
      Py_DECREF(list);
      return NULL;
    }
    PyObject* element = PyBytes_FromStringAndSize(at + 4, (Py_ssize_t)length);
    int appended = element && PyList_Append(list, element) == 0;
    Py_XDECREF(element);
    if (!appended) {
      Py_DECREF(list);
      return NULL;
    }
    at += 4 + length;
  }
  return list;
}

static ChannelCell* Cell(PyObject* args, uint64_t* request) {
  unsigned int at;
  unsigned long long id;
  if (!PyArg_ParseTuple(args, "IK", &at, &id)) return NULL;
  *request = id;
  return &control->cells[at % kCells];
}

/* False once the cell is another request's, so that this one has had its last answer. */
static int Owns(const ChannelCell* cell, uint64_t request) {
  return __atomic_load_n(&cell->request, __ATOMIC_ACQUIRE) == request;
}

static PyObject* Cancelled(PyObject* self, PyObject* args) {
  (void)self;
  uint64_t request;
  ChannelCell* cell = Cell(args, &request);
  return cell ? PyBool_FromLong(!Owns(cell, request) || __atomic_load_n(&cell->cancelled, __ATOMIC_ACQUIRE)) : NULL;
}

/* Returns once the client has room again. */
static PyObject* AwaitRoom(PyObject* self, PyObject* args) {
  (void)self;
  uint64_t request;
  ChannelCell* cell = Cell(args, &request);
  if (!cell) return NULL;
  while (Owns(cell, request) && __atomic_load_n(&cell->blocked, __ATOMIC_ACQUIRE)) {
    PyThreadState* state = PyEval_SaveThread();
    FutexWait(&cell->blocked, 1, NULL);
    PyEval_RestoreThread(state);
  }
  Py_RETURN_NONE;
}

static PyObject* Trim(PyObject* self, PyObject* unused) {
  (void)self;
  (void)unused;
  return PyBool_FromLong(ArenaTrim(&out));
}

static PyMethodDef methods[] = {
    {"attach", Attach, METH_VARARGS,
     "attach(control, in, out, life, first event, events, initial, growth, max, fill) -> addresses of both regions"},
    {"wait_call", WaitCall, METH_O, "wait_call(seconds; < 0: for ever) -> (content, tensors, message) or None"},
    {"wait_reply", WaitReply, METH_NOARGS, "wait_reply() -> (content, tensors, message)"},
    {"prepare", Prepare, METH_VARARGS, "prepare(message, copies) -> what push takes"},
    {"push", Push, METH_VARARGS, "push(prepared, event)"},
    {"use_tensor", UseTensor, METH_VARARGS, "see tensor.c"},
    {"tensor_of", TensorOf, METH_VARARGS, "tensor_of(name, datatype, shape, memory, offset, size) -> Tensor"},
    {"tensors", Tensors, METH_VARARGS, "tensors(parts, block, at) -> list of Tensor"},
    {"encode", Encode, METH_VARARGS, "encode(tensors, requested, copies, at) -> (parts, at)"},
    {"use_request", UseRequest, METH_VARARGS, "see request.c"},
    {"requests", Requests, METH_VARARGS, "requests(wires, block, at, context) -> list of InferenceRequest"},
    {"answer", Answer, METH_VARARGS, "answer(requests, responses) -> what push takes, or None"},
    {"wire_size", WireSize, METH_O, "wire_size(list) -> bytes of its wire form; makes every element bytes"},
    {"split", Split, METH_VARARGS, "split(address, size) -> list of bytes"},
    {"cancelled", Cancelled, METH_VARARGS, "cancelled(cell, request)"},
    {"await_room", AwaitRoom, METH_VARARGS, "await_room(cell, request)"},
    {"trim", Trim, METH_NOARGS, "trim() -> whether more may be given back later"},
    {"to_dlpack", ToDlpack, METH_VARARGS, "to_dlpack(owner, address, code, bits, shape) -> capsule"},
    {"from_dlpack", FromDlpack, METH_O, "from_dlpack(capsule) -> (owner, address, code, bits, shape, contiguous, device)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "core", "see core.c", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_core(void) {
  PyObject *made = PyModule_Create(&module), *hold = PyType_FromSpec(&hold_spec);
  if (made && (!hold || PyModule_AddObject(made, "Hold", hold) != 0 || !AddTensor(made) || !AddRequest(made))) {
    Py_DECREF(made);
    return NULL;
  }
  return made;
}
