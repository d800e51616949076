#include "api/infer.h"

#include <cstdlib>
#include <new>

namespace nereid {
namespace {

class Heap final : public OutputAllocator {
 public:
  Result<Buffer> Allocate(std::string_view, std::size_t bytes) override {
    constexpr std::size_t kAlignment = 64;
    void* memory = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    if (!memory) return Error(Code::kUnavailable, "out of memory for an output tensor", "out_of_memory");
    return Buffer{std::shared_ptr<void>(memory, std::free), static_cast<char*>(memory), bytes};
  }
};

}  // namespace

OutputAllocator& HeapAllocator() {
  static Heap heap;
  return heap;
}

}  // namespace nereid
