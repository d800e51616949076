// The backend `llama`: GGUF files on llama.cpp, as text models and as decoupled v2 models.
#pragma once

#include <memory>

#include "api/backend.h"

namespace nereid {

// One a process: its models share a pool of compute threads. `world.arbiter` outlives the backend and its models.
//
// Parameters of config.pbtxt:
//   context_tokens   of one request, prompt and answer together; default: what the model was trained with, at most 8192
//   cache_tokens     of all running requests together; default: context_tokens
//   max_sequences    computed together; default 16, at most 64
//   max_queue_size   requests that wait for a sequence; default 256
//   step_tokens      computed in one step, at most; default 512
std::unique_ptr<Backend> MakeLlamaBackend(const BackendWorld& world);

}  // namespace nereid
