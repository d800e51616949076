/* What a worker cannot do in Python: the shared rings, futexes, blocks, the packed form of messages, and DLPack capsules.
 * One file on the limited API of Python 3.9, so that one build serves every later Python. See src/backends/python/shared/channel.h. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

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
static char* in_base;      /* the server's region */
static uint64_t in_max;
static Arena out;          /* ours; the GIL guards it */
static int first_event, events;  /* descriptors that wake threads of the server */
static int forked;         /* this is a child of the worker, which must leave the channel alone */

/* ------------------------------------------------------------------ packing: the part of MessagePack that messages need */

typedef struct {
  char* data;
  size_t size, capacity;
} Buffer;

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

static int Put(Buffer* buffer, PyObject* value, int depth) {
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
    if (!text) return 0;
    char* data;
    Py_ssize_t size;
    int done = PyBytes_AsStringAndSize(text, &data, &size) == 0 && PutHead(buffer, 0xdb, (uint64_t)size, 4) && PutRaw(buffer, data, (size_t)size);
    Py_DECREF(text);
    return done;
  }
  if (PyBytes_Check(value)) {
    char* data;
    Py_ssize_t size;
    return PyBytes_AsStringAndSize(value, &data, &size) == 0 && PutHead(buffer, 0xc6, (uint64_t)size, 4) && PutRaw(buffer, data, (size_t)size);
  }
  if (PyFloat_Check(value)) {
    double number = PyFloat_AsDouble(value);
    uint64_t bits;
    memcpy(&bits, &number, 8);
    return PutHead(buffer, 0xcb, bits, 8);
  }
  if (PyTuple_Check(value) || PyList_Check(value)) {
    int tuple = PyTuple_Check(value);
    Py_ssize_t size = tuple ? PyTuple_Size(value) : PyList_Size(value);
    if (size < 16 ? !PutHead(buffer, (unsigned char)(0x90 | size), 0, 0) : !PutHead(buffer, 0xdd, (uint64_t)size, 4)) return 0;
    for (Py_ssize_t i = 0; i < size; ++i) {
      if (!Put(buffer, tuple ? PyTuple_GetItem(value, i) : PyList_GetItem(value, i), depth + 1)) return 0;
    }
    return 1;
  }
  PyErr_SetString(PyExc_TypeError, "a message holds None, bool, int, float, str, bytes, tuples and lists only");
  return 0;
}

typedef struct {
  const unsigned char *at, *end;
} Reader;

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

static PyObject* Get(Reader* reader, int depth);

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

static PyObject* Get(Reader* reader, int depth) {
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

/* ------------------------------------------------------------------ the channel */

/* The worker must not outlive the server, even when Python is busy or stuck: this thread needs neither the GIL nor Python. */
static void* Watch(void* fd) {
  struct pollfd life = {(int)(intptr_t)fd, POLLIN, 0};
  while (poll(&life, 1, -1) < 0 && errno == EINTR) {
  }
  kill(0, SIGKILL); /* the whole group: what the model has started, too */
  _exit(1);
}

static void Forked(void) { forked = 1; }

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
  if (!PyArg_ParseTuple(args, "iiiiiiKKK", &control_fd, &in_fd, &out_fd, &life_fd, &first_event, &events, &initial, &growth, &max)) return NULL;
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

/* (offset of the block's content, offset of its tensors, message), or None after the limit. */
static PyObject* Wait(ChannelRing* ring, ChannelBell* bell, double limit) {
  ChannelEntry entry;
  for (;;) {
    uint32_t seen = BellRead(bell);
    if (RingPop(ring, &entry) > 0) break;
    struct timespec wait = {(time_t)limit, (long)((limit - (double)(time_t)limit) * 1e9)};
    PyThreadState* state = PyEval_SaveThread();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    BellWait(bell, seen, limit < 0 ? NULL : &wait);
    clock_gettime(CLOCK_MONOTONIC, &after);
    PyEval_RestoreThread(state);
    if (PyErr_CheckSignals() != 0) return NULL;
    if (limit >= 0) {
      limit -= (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
      if (limit <= 0 && BellRead(bell) == seen) Py_RETURN_NONE;
      if (limit < 0) limit = 0;
    }
  }
  const char* content = in_base + entry.offset;
  uint32_t packed;
  memcpy(&packed, content, 4);
  Reader reader = {(const unsigned char*)content + 4, (const unsigned char*)content + 4 + packed};
  PyObject* message = Get(&reader, 0);
  if (!message) return NULL;
  PyObject* found = Py_BuildValue("KKO", (unsigned long long)entry.offset, (unsigned long long)(entry.offset + AlignBlock(4 + (uint64_t)packed)), message);
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

static PyObject* Release(PyObject* self, PyObject* offset) {
  (void)self;
  unsigned long long at = PyLong_AsUnsignedLongLong(offset);
  if (PyErr_Occurred()) return NULL;
  if (at < kBlockHeader || at >= in_max) {
    PyErr_SetString(PyExc_ValueError, "no block lies there");
    return NULL;
  }
  if (!forked) BlockRelease(in_base + at);
  Py_RETURN_NONE;
}

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

/* begin(message, tensors) -> (offset of the content, offset of the tensors in our region). Each of `tensors` is bytes (copied), a list of
 * bytes (written in wire form) or an int (room for so many bytes, which the caller fills before push). They lie one after another, each
 * 64-aligned. */
static PyObject* Begin(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *message, *tensors;
  if (!PyArg_ParseTuple(args, "OO!", &message, &PyList_Type, &tensors)) return NULL;
  Buffer packed = {NULL, 0, 0};
  if (!Put(&packed, message, 0)) {
    free(packed.data);
    return NULL;
  }
  if (forked) {
    PyErr_SetString(PyExc_RuntimeError, "a process that a model has forked cannot speak with the server");
    free(packed.data);
    return NULL;
  }
  uint64_t start = AlignBlock(4 + packed.size), size = start;
  Py_ssize_t count = PyList_Size(tensors);
  uint64_t* ends = malloc(((size_t)count + 1) * sizeof(uint64_t));
  PyObject* result = NULL;
  if (!ends) {
    PyErr_NoMemory();
    goto done;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* each = PyList_GetItem(tensors, i);
    uint64_t bytes = 0;
    if (PyBytes_Check(each)) {
      bytes = (uint64_t)PyBytes_Size(each);
    } else if (PyList_Check(each)) {
      PyObject* length = WireSize(NULL, each);
      if (!length) goto done;
      bytes = PyLong_AsUnsignedLongLong(length);
      Py_DECREF(length);
    } else {
      bytes = PyLong_AsUnsignedLongLong(each);
      if (PyErr_Occurred()) goto done;
    }
    ends[i] = size;
    size = AlignBlock(size + bytes);
  }
  char* content = ArenaAllocate(&out, size, count > 0);
  if (!content) {
    PyErr_Format(PyExc_MemoryError, "%llu bytes do not fit in the shared memory of this worker, which may hold %llu",
                 (unsigned long long)size, (unsigned long long)ArenaTensorsEnd(&out));
    goto done;
  }
  uint32_t length = (uint32_t)packed.size;
  memcpy(content, &length, 4);
  memcpy(content + 4, packed.data, packed.size);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* each = PyList_GetItem(tensors, i);
    char* data;
    Py_ssize_t bytes;
    if (PyBytes_Check(each)) {
      if (PyBytes_AsStringAndSize(each, &data, &bytes) != 0) goto done;
      memcpy(content + ends[i], data, (size_t)bytes);
    } else if (PyList_Check(each)) {
      if (!WriteWire(content + ends[i], each)) goto done;
    }
  }
  uint64_t offset = (uint64_t)(content - out.base);
  result = Py_BuildValue("KK", (unsigned long long)offset, (unsigned long long)(offset + start));
done:
  free(ends);
  free(packed.data);
  return result;
}

/* push(offset of the content, event): the message leaves; the thread of the server that waits for that event looks at it. */
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
static int Owns(const ChannelCell* cell, uint64_t request) { return __atomic_load_n(&cell->request, __ATOMIC_ACQUIRE) == request; }

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

/* ------------------------------------------------------------------ DLPack, by its published C layout */

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

/* dlpack(owner, address, code, bits, shape) -> capsule; owner lives as long as it. */
static PyObject* ToDlpack(PyObject* self, PyObject* args) {
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
static PyObject* FromDlpack(PyObject* self, PyObject* capsule) {
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
  return Py_BuildValue("NKiiNii", owner, (unsigned long long)((uintptr_t)tensor->data + tensor->offset), (int)tensor->type.code, bits, shape,
                       contiguous || empty, (int)tensor->device.type);
}

static PyMethodDef methods[] = {
    {"attach", Attach, METH_VARARGS, "attach(control, in, out, life, first event, events, initial, growth, max) -> addresses of both regions"},
    {"wait_call", WaitCall, METH_O, "wait_call(seconds; < 0: for ever) -> (content, tensors, message) or None"},
    {"wait_reply", WaitReply, METH_NOARGS, "wait_reply() -> (content, tensors, message)"},
    {"release", Release, METH_O, "release(content): the server may use the block again"},
    {"begin", Begin, METH_VARARGS, "begin(message, tensors) -> (content, tensors)"},
    {"push", Push, METH_VARARGS, "push(content, event)"},
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

PyMODINIT_FUNC PyInit_core(void) { return PyModule_Create(&module); }
