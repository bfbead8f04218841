#include "http/address_race.h"

#include <gtest/gtest.h>

#include "http/loopback.h"

namespace spillway::http {
namespace {

using spillway::testing::run_until;
using Endpoint = asio::ip::tcp::endpoint;

// An address that neither takes nor refuses a connection: its queue is full, so that SYNs go unanswered.
class Hole {
 public:
  explicit Hole(asio::io_context& loop) : acceptor_(loop) {
    acceptor_.open(asio::ip::tcp::v4());
    acceptor_.bind({asio::ip::make_address("127.0.0.1"), 0});
    acceptor_.listen(0);
    for (int i = 0; i < 4; ++i) {
      auto& socket = filling_.emplace_back(loop);
      socket.async_connect(address(), [](const ErrorStatus&) {});
    }
  }
  [[nodiscard]] Endpoint address() const { return acceptor_.local_endpoint(); }

 private:
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
  std::deque<Socket> filling_;
};

class AddressRaces : public ::testing::Test {
 protected:
  // One that nobody listens on.
  Endpoint refusing() {
    holders_.emplace_back(loop_);
    holders_.back().open(asio::ip::tcp::v4());
    holders_.back().bind({asio::ip::make_address("127.0.0.1"), 0});
    return holders_.back().local_endpoint();
  }
  Endpoint good() { return {asio::ip::make_address("127.0.0.1"), upstream_.port()}; }
  std::shared_ptr<AddressRace> race(std::vector<Endpoint> addresses) {
    return std::make_shared<AddressRace>(loop_, timers_, std::move(addresses));
  }
  ErrorStatus run(const std::shared_ptr<AddressRace>& race) { return spillway::testing::run_task(loop_, race->run()); }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  spillway::testing::Upstream upstream_{loop_};
  Hole hole_{loop_};
  std::deque<Socket> holders_;
};

TEST_F(AddressRaces, one_address_is_connected_to) {
  const auto one = race({good()});
  ASSERT_FALSE(run(one));
  EXPECT_EQ(one->address(), good());
  EXPECT_EQ(one->take_socket().remote_endpoint(), good());
}

TEST_F(AddressRaces, one_that_refuses_is_followed_at_once) {
  const TimePoint begin = now();
  const auto second = race({refusing(), refusing(), good()});
  ASSERT_FALSE(run(second));
  EXPECT_EQ(second->address(), good());
  EXPECT_LT(now() - begin, AddressRace::kNextAfter);
}

TEST_F(AddressRaces, one_that_says_nothing_is_passed_after_a_while) {
  spillway::testing::settle(loop_);
  const TimePoint begin = now();
  const auto second = race({hole_.address(), good()});
  ASSERT_FALSE(run(second));
  EXPECT_EQ(second->address(), good());
  EXPECT_GE(now() - begin, AddressRace::kNextAfter);
  EXPECT_LT(now() - begin, seconds(3));
}

TEST_F(AddressRaces, when_all_refuse_the_reason_is_told) {
  EXPECT_EQ(run(race({refusing(), refusing()})), asio::error::connection_refused);
  EXPECT_EQ(run(race({})), asio::error::host_not_found);
}

TEST_F(AddressRaces, stop_ends_it_at_once) {
  spillway::testing::settle(loop_);
  const auto stuck = race({hole_.address(), hole_.address()});
  std::optional<ErrorStatus> status;
  asio::co_spawn(loop_, stuck->run(), [&](std::exception_ptr, const ErrorStatus& ec) { status = ec; });
  spillway::testing::settle(loop_);
  ASSERT_FALSE(status);
  stuck->stop();
  ASSERT_TRUE(run_until(loop_, [&] { return status.has_value(); }));
  EXPECT_EQ(*status, asio::error::operation_aborted);
}

}  // namespace
}  // namespace spillway::http
