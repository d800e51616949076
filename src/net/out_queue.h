// Bytes on their way to a socket: small ones copied behind one another, large ones where they lie.
#pragma once

#include <sys/uio.h>

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nereid::net {

class OutQueue {
 public:
  void Copy(std::string_view bytes) {
    if (bytes.empty()) return;
    // A part is freed as a whole, and a slow socket may never take all that there is.
    constexpr std::size_t kPartBytes = 64 << 10;
    if (parts_.empty() || parts_.back().owner || parts_.back().text.size() >= kPartBytes) parts_.emplace_back();
    parts_.back().text += bytes;
    bytes_ += bytes.size();
  }
  void Borrow(std::shared_ptr<const void> owner, std::string_view bytes) {
    if (bytes.empty()) return;
    parts_.push_back({{}, std::move(owner), bytes});
    bytes_ += bytes.size();
  }

  std::size_t bytes() const { return bytes_; }

  // The first of it. Valid until the next call of another member.
  std::span<iovec> Pieces() {
    constexpr std::size_t kMost = 64;
    pieces_.clear();
    std::size_t skip = sent_;
    for (const Part& part : parts_) {
      std::string_view left = part.view().substr(skip);
      skip = 0;
      pieces_.push_back({const_cast<char*>(left.data()), left.size()});
      if (pieces_.size() == kMost) break;
    }
    return pieces_;
  }
  void Sent(std::size_t bytes) {
    bytes_ -= bytes;
    sent_ += bytes;
    while (!parts_.empty() && sent_ >= parts_.front().view().size()) {
      sent_ -= parts_.front().view().size();
      parts_.pop_front();
    }
  }

 private:
  struct Part {
    std::string text;  // when there is no owner
    std::shared_ptr<const void> owner;
    std::string_view borrowed;
    std::string_view view() const { return owner ? borrowed : std::string_view(text); }
  };
  std::deque<Part> parts_;
  std::size_t bytes_ = 0, sent_ = 0;  // sent_: of the first part
  std::vector<iovec> pieces_;
};

}  // namespace nereid::net
