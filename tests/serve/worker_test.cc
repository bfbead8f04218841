#include "serve/worker.h"

#include <gtest/gtest.h>

#include <future>

#include "config/load.h"
#include "serve/blocking_client.h"

namespace spillway::serve {
namespace {

std::shared_ptr<const config::Config> config_of(const std::string& toml) {
  auto loaded = config::load_text(toml, "t.toml", [](const std::string&) { return std::nullopt; });
  EXPECT_TRUE(loaded.config.has_value()) << loaded.problems.at(0).to_string();
  return std::make_shared<const config::Config>(std::move(loaded.config.value()));
}

// A Backend that nobody listens at, and a Route of its own for the model `name`.
std::shared_ptr<const config::Config> serving(const std::string& name) {
  return config_of("[[backend]]\nname = \"" + name + "\"\nbase_url = \"http://127.0.0.1:9\"\n[[route]]\nmodel = \"" +
                   name + "\"\ntargets = [{ backend = \"" + name + "\" }]\n");
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = record::AccessLog::open({});
    ASSERT_TRUE(opened.ok());
    log_ = std::move(*opened);
    worker_ = std::make_unique<Worker>(Shared{metrics_, *log_, client_load_, conditions_, prefixes_}, serving("one"));
    port_ = *worker_->listen({asio::ip::make_address("127.0.0.1"), 0});
    worker_->start([this] { ended_.set_value(); });
  }
  void TearDown() override {
    worker_->close();
    worker_->join();
  }
  bool ended() { return end_.wait_for(std::chrono::seconds(30)) == std::future_status::ready; }

  record::Metrics metrics_;
  std::unique_ptr<record::AccessLog> log_;
  std::shared_ptr<http::ServerLoad> client_load_ = std::make_shared<http::ServerLoad>();
  backend::Conditions conditions_;
  route::PrefixMaps prefixes_;
  std::promise<void> ended_;
  std::future<void> end_ = ended_.get_future();
  std::unique_ptr<Worker> worker_;
  std::uint16_t port_ = 0;
};

TEST_F(WorkerTest, serves_what_its_config_says_and_takes_up_another) {
  testing::BlockingClient client(port_);
  EXPECT_NE(client.get("/v1/models").find("\"one\""), std::string::npos);
  worker_->apply(serving("two"));
  std::string models;
  for (int i = 0; i < 1000 && models.find("\"two\"") == std::string::npos; ++i) models = client.get("/v1/models");
  EXPECT_NE(models.find("\"two\""), std::string::npos);
  EXPECT_EQ(models.find("\"one\""), std::string::npos);
}

TEST_F(WorkerTest, many_configs_from_another_thread_disturb_no_request) {
  std::atomic<bool> over{false};
  std::thread reloads([&] {
    for (int i = 0; !over; ++i) worker_->apply(serving(i % 2 == 0 ? "one" : "two"));
  });
  testing::BlockingClient client(port_);
  for (int i = 0; i < 200; ++i) EXPECT_NE(client.get("/v1/models").find("HTTP/1.1 200"), std::string::npos);
  over = true;
  reloads.join();
}

TEST_F(WorkerTest, a_drain_ends_the_thread_when_the_last_connection_has_gone) {
  testing::BlockingClient client(port_);
  EXPECT_NE(client.get("/healthz").find("HTTP/1.1 200"), std::string::npos);
  worker_->drain();
  EXPECT_TRUE(ended());
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(client_load_->connections.load(), 0u);
}

TEST_F(WorkerTest, a_local_backend_waits_for_what_the_fleet_says_of_it) {
  worker_->apply(config_of("[[backend]]\nname = \"local\"\nengine = \"llama.cpp\"\nmodel = \"m\"\n"));
  testing::BlockingClient client(port_);
  std::string ready;
  for (int i = 0; i < 1000 && ready.find("waiting") == std::string::npos; ++i) ready = client.get("/readyz");
  EXPECT_NE(ready.find("HTTP/1.1 503"), std::string::npos);
  backend::LocalStatus status;
  status.state = backend::LocalStatus::State::kReady;
  status.port = 9;
  worker_->set_local("local", status);
  for (int i = 0; i < 1000 && ready.find("\"ready\"") == std::string::npos; ++i) ready = client.get("/readyz");
  EXPECT_NE(ready.find("HTTP/1.1 200"), std::string::npos);
}

}  // namespace
}  // namespace spillway::serve
