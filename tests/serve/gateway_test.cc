#include "serve/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <mutex>
#include <regex>
#include <thread>

#include "serve/blocking_client.h"

namespace spillway::serve {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

config::Loaded load(const std::string& toml) {
  return config::load_text("[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nthreads = 2\n" + toml,
                           "t.toml", [](const std::string&) { return std::nullopt; });
}

std::string backend(const std::string& name) {
  return "[[backend]]\nname = \"" + name + "\"\nbase_url = \"http://127.0.0.1:9\"\n";
}

class GatewayTest : public ::testing::Test {
 protected:
  void SetUp() override { log::set_level(log::Level::kOff); }
  void TearDown() override { fs::remove_all(data_); }

  Gateway::Options options(const std::string& toml) {
    Gateway::Options out;
    out.config = std::move(load(toml).config.value());
    out.data = data_;
    out.environment = [](const std::string&) { return std::nullopt; };
    out.log_level = log::Level::kOff;
    out.say = [this](const std::string& text) {
      const std::lock_guard lock(mutex_);
      said_ += text;
    };
    return out;
  }
  // The port that was said to be that of "listening" or "admin".
  std::uint16_t port(const std::string& of) {
    for (int i = 0; i < 3000; ++i) {
      std::smatch found;
      {
        const std::lock_guard lock(mutex_);
        if (std::regex_search(said_, found, std::regex(of + " on http://127.0.0.1:(\\d+)")))
          return static_cast<std::uint16_t>(std::stoi(found[1]));
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
    return 0;
  }

  fs::path data_ = fs::temp_directory_path() / ("gateway_" + std::to_string(::getpid()));
  std::mutex mutex_;
  std::string said_;  // guarded by mutex_
};

TEST_F(GatewayTest, serves_reloads_and_ends_at_sigterm) {
  std::atomic<bool> good{true};
  Gateway::Options given = options(backend("one"));
  given.reload = [&] { return good ? load(backend("two")) : load("[servr]\n"); };
  Gateway gateway(std::move(given));
  const Status opened = gateway.open();
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  std::thread clients([&] {
    const std::uint16_t admin = port("admin");
    testing::BlockingClient client(port("listening"));
    EXPECT_THAT(client.get("/healthz"), HasSubstr("HTTP/1.1 200"));
    testing::BlockingClient operators(admin);
    EXPECT_THAT(operators.get("/admin/v1/status"), HasSubstr("\"one\""));
    const auto comes = [&](const std::string& path, const std::string& text) {
      std::string seen;
      for (int i = 0; i < 1000 && seen.find(text) == std::string::npos; ++i) seen = operators.get(path);
      EXPECT_THAT(seen, HasSubstr(text));
    };
    ::kill(::getpid(), SIGHUP);
    comes("/admin/v1/status", "\"two\"");
    good = false;
    ::kill(::getpid(), SIGHUP);
    comes("/admin/v1/health", "servr");
    comes("/metrics", "spillway_config_refused 1");
    EXPECT_THAT(operators.get("/admin/v1/status"), HasSubstr("\"two\""));
    ::kill(::getpid(), SIGTERM);
    EXPECT_TRUE(client.ended());
  });
  gateway.run();
  clients.join();
}

TEST_F(GatewayTest, what_cannot_be_opened_is_named_and_nothing_is_left_behind) {
  Gateway first(options(backend("one")));
  ASSERT_TRUE(first.open().ok());

  Gateway::Options no_folder = options(backend("one"));
  no_folder.data = "/proc/no/such/folder";
  Gateway second(std::move(no_folder));
  const Status opened = second.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("/proc/no/such"));

  Gateway third(options(backend("one") + "ca_file = \"/no/such/ca.pem\"\n"));
  EXPECT_TRUE(third.open().ok());  // plain http: the file is not looked at

  Gateway fourth(options("[[backend]]\nname = \"tls\"\nbase_url = \"https://x\"\nca_file = \"/no/such/ca.pem\"\n"));
  const Status refused = fourth.open();
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("backend tls"));
}

TEST_F(GatewayTest, a_taken_port_is_named_with_the_mend) {
  asio::io_context loop;
  asio::ip::tcp::acceptor taken(loop, {asio::ip::make_address("127.0.0.1"), 0});
  Gateway::Options given = options(backend("one"));
  given.config.server.admin_listen.port = taken.local_endpoint().port();
  Gateway gateway(std::move(given));
  const Status opened = gateway.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(opened.error().message, HasSubstr(std::to_string(taken.local_endpoint().port())));
  EXPECT_FALSE(opened.error().hint.empty());
}

}  // namespace
}  // namespace spillway::serve
