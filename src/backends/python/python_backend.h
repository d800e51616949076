// The backend `python`: model.py files as Triton runs them, a worker process an instance. See docs/python_backend.md.
#pragma once

#include <memory>

#include "api/backend.h"

namespace nereid::python {

Result<std::unique_ptr<Backend>> CreatePythonBackend(const BackendWorld& world);

}  // namespace nereid::python
