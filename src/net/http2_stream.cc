#include "net/http2_stream.h"

namespace nereid::net {
namespace {

constexpr std::size_t kCopyMax = 1024;  // of data: more is sent from where it lies

nghttp2_nv Pair(const HeaderField& field) {
  auto bytes = [](std::string_view text) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data())); };
  return {bytes(field.name), bytes(field.value), field.name.size(), field.value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::vector<nghttp2_nv> Pairs(std::span<const HeaderField> fields) {
  std::vector<nghttp2_nv> pairs;
  pairs.reserve(fields.size());
  for (const HeaderField& field : fields) pairs.push_back(Pair(field));
  return pairs;
}

}  // namespace

std::optional<std::string_view> Http2Stream::Header(std::string_view name) const {
  for (const HeaderField& field : headers()) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

bool Http2Connection::OneStream::AddHeader(std::string_view name, std::string_view value) {
  constexpr std::size_t kOverhead = 32;  // RFC 9113 6.5.2
  std::size_t bytes = text_.size() + name.size() + value.size() + (ends_.size() / 2 + 1) * kOverhead;
  if (bytes > connection_.options_.head_bytes_max) return false;
  text_ += name;
  ends_.push_back(text_.size());
  text_ += value;
  ends_.push_back(text_.size());
  return true;
}

void Http2Connection::OneStream::HeadIsWhole() {
  std::string_view text = text_;
  std::size_t at = 0;
  for (std::size_t i = 0; i + 1 < ends_.size(); i += 2) {
    headers_.push_back({text.substr(at, ends_[i] - at), text.substr(ends_[i], ends_[i + 1] - ends_[i])});
    at = ends_[i + 1];
  }
}

void Http2Connection::OneStream::Respond(std::span<const HeaderField> head, bool ends) {
  if (std::exchange(responded_, true)) return;
  ended_ = ends;
  std::vector<nghttp2_nv> pairs = Pairs(head);
  nghttp2_data_provider data{{.ptr = this}, nullptr};
  data.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t most, std::uint32_t* flags,
                          nghttp2_data_source* source, void*) -> ssize_t {
    auto& stream = *static_cast<OneStream*>(source->ptr);
    bool last = false;
    auto offered = stream.Offer(most, last);
    if (!offered) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream.trailers_.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (!stream.SubmitTrailers()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
    }
    return static_cast<ssize_t>(*offered);
  };
  ::nghttp2_submit_response(connection_.session_.get(), number_, pairs.data(), pairs.size(), ends ? nullptr : &data);
  connection_.FlushSoon();
}

void Http2Connection::OneStream::Write(Piece piece) {
  if (!responded_ || ended_ || piece.bytes.empty()) return;
  data_bytes_ += piece.bytes.size();
  data_.push_back(std::move(piece));
  ::nghttp2_session_resume_data(connection_.session_.get(), number_);
  connection_.FlushSoon();
}

void Http2Connection::OneStream::End(std::span<const HeaderField> trailers) {
  if (!responded_ || std::exchange(ended_, true)) return;
  for (const HeaderField& field : trailers) trailer_text_.append(field.name).append(field.value);
  std::string_view text = trailer_text_;
  for (const HeaderField& field : trailers) {
    trailers_.push_back({text.substr(0, field.name.size()), text.substr(field.name.size(), field.value.size())});
    text.remove_prefix(field.name.size() + field.value.size());
  }
  // Not behind data: nghttp2 would wait for room in the window even to say that there are no more.
  if (data_moved_ && data_bytes_ == 0 && !trailers_.empty()) SubmitTrailers();
  else ::nghttp2_session_resume_data(connection_.session_.get(), number_);
  connection_.FlushSoon();
}

bool Http2Connection::OneStream::SubmitTrailers() {
  trailers_submitted_ = true;
  std::vector<nghttp2_nv> trailers = Pairs(trailers_);
  return ::nghttp2_submit_trailer(connection_.session_.get(), number_, trailers.data(), trailers.size()) == 0;
}

void Http2Connection::OneStream::Consume(std::size_t bytes) {
  unconsumed_ -= bytes;
  ::nghttp2_session_consume(connection_.session_.get(), number_, bytes);
  connection_.FlushSoon();
}

std::optional<std::size_t> Http2Connection::OneStream::Offer(std::size_t most, bool& last) {
  if (data_bytes_ == 0 && (!ended_ || trailers_submitted_)) return std::nullopt;
  std::size_t bytes = std::min(most, data_bytes_);
  last = ended_ && bytes == data_bytes_;
  return bytes;
}

void Http2Connection::OneStream::MoveTo(OutQueue& out, std::size_t bytes, bool copy) {
  data_bytes_ -= bytes;
  data_moved_ = true;
  for (std::size_t left = bytes; left > 0;) {
    Piece& piece = data_.front();
    std::string_view part = piece.bytes.substr(0, left);
    if (copy || part.size() <= kCopyMax) out.Copy(part);
    else out.Borrow(piece.owner, part);
    left -= part.size();
    piece.bytes.remove_prefix(part.size());
    if (piece.bytes.empty()) data_.pop_front();
  }
  if (receiver_ && bytes > 0) receiver_->OnSent(bytes);
}

}  // namespace nereid::net
