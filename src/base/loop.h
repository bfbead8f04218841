// The executor and coroutine types of the whole program: one io_context per thread, and a
// coroutine never leaves the thread that it began on.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

namespace spillway {

namespace asio = boost::asio;
using ErrorStatus = boost::system::error_code;

// The typed executor spares the type erasure of any_io_executor on each operation.
using Executor = asio::io_context::executor_type;

template <class T = void>
using Task = asio::awaitable<T, Executor>;

// co_await op(…, kAwait): expected ends of I/O come back as a value in a tuple, not as exceptions.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});

}  // namespace spillway
