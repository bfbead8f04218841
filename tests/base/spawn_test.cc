#include "base/spawn.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <stdexcept>

namespace spillway {
namespace {

Task<> faulty() {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable_t<Executor>{});
  throw std::runtime_error("nobody expects this");
}
Task<> fine(int& done) {
  ++done;
  co_return;
}

TEST(Spawn, an_exception_is_told_and_ends_nothing_else) {
  asio::io_context loop{1};
  std::string told;
  int done = 0;
  const std::uint64_t before = bugs();
  spawn(loop, "a test", faulty(), [&](const std::string& why) { told = why; });
  spawn(loop, "a test", faulty());
  spawn(loop, "a test", fine(done), [&](const std::string&) { done = -1; });
  loop.run();
  EXPECT_EQ(told, "nobody expects this");
  EXPECT_EQ(done, 1);
  EXPECT_EQ(bugs(), before + 2);
}

TEST(RunLoop, goes_on_after_a_handler_that_throws) {
  asio::io_context loop{1};
  int done = 0;
  const std::uint64_t before = bugs();
  asio::post(loop, [] { throw std::runtime_error("a handler's"); });
  asio::post(loop, [] { throw 7; });  // NOLINT(hicpp-exception-baseclass)
  asio::post(loop, [&] { ++done; });
  run_loop(loop, "a test");
  EXPECT_EQ(done, 1);
  EXPECT_EQ(bugs(), before + 2);
}

TEST(TextOf, tells_what_an_exception_says) {
  EXPECT_EQ(text_of(nullptr), "");
  EXPECT_EQ(text_of(std::make_exception_ptr(std::logic_error("so"))), "so");
  EXPECT_EQ(text_of(std::make_exception_ptr(7)), "an exception of unknown type");
}

}  // namespace
}  // namespace spillway
