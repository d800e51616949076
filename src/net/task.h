// The one asynchronous type: a coroutine on one io thread that ends with a Result.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/status.h"

namespace nereid::net {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T>
using Awaitable = asio::awaitable<T, Executor>;
// Started only by net::Spawn (net/spawn.h), or awaited by another Task. Cancellation shows as an error from the awaited operation,
// never as an exception; after it, further waits that are cancellable end at once too, unless inside net::Shielded.
template <class T>
using Task = Awaitable<Result<T>>;
using Endpoint = asio::ip::tcp::endpoint;
inline constexpr asio::use_awaitable_t<Executor> kAwait{};

}  // namespace nereid::net
