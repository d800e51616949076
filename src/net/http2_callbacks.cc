// What nghttp2's session tells a connection and asks it for.
#include <cstring>

#include "net/http2_stream.h"

namespace nereid::net {
namespace {

constexpr std::size_t kOutMax = 1 << 20;  // bytes that the session hands over before the socket has taken some

}  // namespace

struct Http2Connection::Callbacks {
  static Http2Connection& Self(void* data) { return *static_cast<Http2Connection*>(data); }
  static OneStream* Find(nghttp2_session* session, std::int32_t number) {
    return static_cast<OneStream*>(::nghttp2_session_get_stream_user_data(session, number));
  }

  static int BeginFrame(nghttp2_session* session, const nghttp2_frame_hd* head, void* data) {
    Http2Connection& self = Self(data);
    bool plain = head->type == NGHTTP2_DATA && !(head->flags & NGHTTP2_FLAG_PADDED);
    self.sender_ = plain ? Find(session, head->stream_id) : nullptr;
    self.frame_left_ = head->length;
    return 0;
  }

  static int BeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Connection& self = Self(data);
    OneStream& stream = self.streams_.emplace_back(self, frame->hd.stream_id);
    stream.place_ = std::prev(self.streams_.end());
    ::nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, &stream);
    return 0;
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    auto text = [](const std::uint8_t* bytes, std::size_t size) { return std::string_view(reinterpret_cast<const char*>(bytes), size); };
    // Resets the stream.
    return stream && !stream->AddHeader(text(name, name_size), text(value, value_size)) ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }

  static int Frame(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    Http2Connection& self = Self(data);
    self.greeted_ = true;
    if (frame->hd.type == NGHTTP2_PING) {
      if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) self.OnPing();
      else if (std::memcmp(frame->ping.opaque_data, kLeavePing, sizeof kLeavePing) == 0) self.SendLastGoaway();
      else self.ping_sent_ = {};
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) self.Accept(*stream);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
      stream->request_ended_ = true;
      if (stream->receiver_) stream->receiver_->OnEnd();
    }
    return 0;
  }

  static int DataChunk(nghttp2_session* session, std::uint8_t, std::int32_t number, const std::uint8_t* bytes, std::size_t size,
                       void* data) {
    OneStream* stream = Find(session, number);
    Self(data).frame_left_ -= size;
    Self(data).data_end_ = bytes + size;
    if (!stream) {
      ::nghttp2_session_consume(session, number, size);
      return 0;
    }
    stream->unconsumed_ += size;
    if (stream->receiver_) stream->receiver_->OnData({reinterpret_cast<const char*>(bytes), size});
    else stream->Consume(size);
    return 0;
  }

  static int FrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
      Self(data).strikes_ = 0;
      Self(data).client_ping_ = {};
    }
    // Not together with it: nghttp2 would send the ping first, and the answer would say nothing.
    if (frame->hd.type == NGHTTP2_GOAWAY && Self(data).leave_at_ != SteadyTime::max())
      ::nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, kLeavePing);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    // The answer is out: what the client would still send is not wanted (RFC 9113 8.1).
    if (stream && !stream->request_ended_) ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  // Larger than nghttp2 sends: without a word the client would wait for it.
  static int FrameNotSent(nghttp2_session* session, const nghttp2_frame* frame, int error, void*) {
    if (frame->hd.type == NGHTTP2_HEADERS && error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
      ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static int StreamClosed(nghttp2_session* session, std::int32_t number, std::uint32_t, void* data) {
    if (OneStream* stream = Find(session, number)) Self(data).Close(*stream);
    return 0;
  }

  static ssize_t Send(nghttp2_session*, const std::uint8_t* bytes, std::size_t size, int, void* data) {
    Http2Connection& self = Self(data);
    if (self.out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_.Copy({reinterpret_cast<const char*>(bytes), size});
    return static_cast<ssize_t>(size);
  }

  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size, nghttp2_data_source* source,
                      void* data) {
    constexpr std::size_t kFrameHead = 9;
    Http2Connection& self = Self(data);
    if (self.out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_.Copy({reinterpret_cast<const char*>(head), kFrameHead});
    // A TLS record of its own for each piece would cost more than the copy.
    static_cast<OneStream*>(source->ptr)->MoveTo(self.out_, size, self.stream_.tls());
    return 0;
  }

  static ssize_t DataLength(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t connection_window, std::int32_t stream_window,
                            std::uint32_t frame_bytes_max, void*) {
    return std::min({static_cast<std::int64_t>(connection_window), static_cast<std::int64_t>(stream_window),
                     static_cast<std::int64_t>(frame_bytes_max), static_cast<std::int64_t>(kFrameBytesMax)});
  }
};

nghttp2_session_callbacks* Http2Connection::SessionCallbacks() {
  static nghttp2_session_callbacks* all = [] {
    nghttp2_session_callbacks* made = nullptr;
    NEREID_CHECK(::nghttp2_session_callbacks_new(&made) == 0);
    ::nghttp2_session_callbacks_set_on_begin_frame_callback(made, Callbacks::BeginFrame);
    ::nghttp2_session_callbacks_set_on_begin_headers_callback(made, Callbacks::BeginHeaders);
    ::nghttp2_session_callbacks_set_on_header_callback(made, Callbacks::Header);
    ::nghttp2_session_callbacks_set_on_frame_recv_callback(made, Callbacks::Frame);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Callbacks::DataChunk);
    ::nghttp2_session_callbacks_set_on_frame_send_callback(made, Callbacks::FrameSent);
    ::nghttp2_session_callbacks_set_on_frame_not_send_callback(made, Callbacks::FrameNotSent);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(made, Callbacks::StreamClosed);
    ::nghttp2_session_callbacks_set_send_callback(made, Callbacks::Send);
    ::nghttp2_session_callbacks_set_send_data_callback(made, Callbacks::SendData);
    ::nghttp2_session_callbacks_set_data_source_read_length_callback(made, Callbacks::DataLength);
    return made;
  }();
  return all;
}

}  // namespace nereid::net
