// Has the large tensors of a ModelInferRequest received where the model reads them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "grpc/context.h"
#include "grpc/framing.h"

namespace nereid::grpc_front {

class TensorSplitter final : public Splitter {
 public:
  // Memory for so many bytes of the inputs of the model `name`; null: none, also for what follows.
  using Allocate = std::function<std::shared_ptr<char>(const std::string& name, const std::string& version, std::size_t bytes)>;

  // Tensors of fewer than `bytes_min` are not worth it.
  explicit TensorSplitter(Allocate allocate, std::size_t bytes_min = net::kApartMin)
      : allocate_(std::move(allocate)), bytes_min_(bytes_min) {}

  bool Begin(std::size_t length) override;
  Found Look(std::string_view head, std::size_t came, Part& part) override;

 private:
  const Allocate allocate_;
  const std::size_t bytes_min_;
  std::size_t next_ = 0;  // where the next field begins in the head
  std::string name_, version_;
};

// The models' own memory, as far as the stream's client may use them. Both outlive the result's use.
TensorSplitter::Allocate InputMemoryFor(const CallContext& shared, const net::Http2Stream& stream);

}  // namespace nereid::grpc_front
