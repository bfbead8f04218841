#include "backend/backend.h"

#include <gtest/gtest.h>

#include "http/loopback.h"

namespace spillway::backend {
namespace {

std::string path_of(const std::string& base_url) {
  return backend::path_of(*http::parse_url(base_url), api::Endpoint::kChat);
}

TEST(ChatPath, is_what_an_sdk_with_that_base_url_asks_for) {
  EXPECT_EQ(path_of("https://api.deepseek.com"), "/v1/chat/completions");
  EXPECT_EQ(path_of("https://api.deepseek.com/"), "/v1/chat/completions");
  EXPECT_EQ(path_of("https://api.deepseek.com/v1"), "/v1/chat/completions");
  EXPECT_EQ(path_of("https://api.deepseek.com/v1/"), "/v1/chat/completions");
  EXPECT_EQ(path_of("https://dashscope.aliyuncs.com/compatible-mode/v1"), "/compatible-mode/v1/chat/completions");
  EXPECT_EQ(path_of("https://open.bigmodel.cn/api/paas/v4"), "/api/paas/v4/chat/completions");
}

using Form = api::ResumeForm;
const TimePoint kAt{seconds(1'000)};

std::vector<Form> forms_of(const std::string& preset, const std::string& resume = "auto",
                           const std::string& engine = "") {
  record::Metrics metrics;
  config::Backend settings;
  settings.preset = preset;
  settings.resume = resume;
  settings.engine = engine;
  if (engine.empty()) settings.base_url = "http://127.0.0.1:9";
  return (*Backend::make(settings, metrics.add_thread()))->resume_forms("m", kAt);
}

TEST(ResumeForms, the_config_goes_before_the_preset_and_that_before_what_is_most_common) {
  EXPECT_EQ(forms_of("deepseek"), (std::vector{Form::kPrefix, Form::kAsk}));
  EXPECT_EQ(forms_of("deepseek", "none"), (std::vector{Form::kNone}));
  EXPECT_EQ(forms_of("moonshot"), (std::vector{Form::kPartial, Form::kAsk}));
  EXPECT_EQ(forms_of("openai"), (std::vector{Form::kAsk}));
  EXPECT_EQ(forms_of("ollama"), (std::vector{Form::kAssistant, Form::kAsk}));
  EXPECT_EQ(forms_of("", "auto", "llama.cpp"), (std::vector{Form::kContinueFinalMessage, Form::kAsk}));
  EXPECT_EQ(forms_of(""), (std::vector{Form::kContinueFinalMessage, Form::kPrefix, Form::kPartial, Form::kAsk}));
  EXPECT_EQ(forms_of("", "partial"), (std::vector{Form::kPartial}));
}

TEST(ResumeForms, what_was_found_not_to_work_is_remembered_for_the_model_and_a_while_by_all_threads) {
  record::Metrics metrics;
  config::Backend settings;
  settings.base_url = "http://127.0.0.1:9";
  const auto condition = std::make_shared<Condition>();
  const auto one = *Backend::make(settings, metrics.add_thread(), condition);
  const auto other = *Backend::make(settings, metrics.add_thread(), condition);
  one->condition().resume_memory().failed("m", Form::kContinueFinalMessage, kAt);
  EXPECT_EQ(other->resume_forms("m", kAt), (std::vector{Form::kPrefix, Form::kPartial, Form::kAsk}));
  EXPECT_EQ(other->resume_forms("n", kAt).size(), 4u);
  EXPECT_EQ(other->resume_forms("m", kAt + kRemembered).size(), 4u);
}

TEST(ThinkingSwitch, is_that_of_the_provider_and_the_model) {
  const auto name_of = [](std::string_view preset, std::string_view model) {
    const config::ThinkingSwitch* const off = config::find_thinking_switch(preset, model);
    return off == nullptr ? std::string() : std::string(off->name) + "=" + std::string(off->value);
  };
  EXPECT_EQ(name_of("deepseek", "deepseek-flash"), R"(thinking={"type":"disabled"})");
  EXPECT_EQ(name_of("dashscope", "qwen4-max"), R"(reasoning_effort="none")");
  EXPECT_EQ(name_of("dashscope", "qwen3-32b"), "enable_thinking=false");
  EXPECT_EQ(name_of("zhipu", "glm-5.3-flash"), "");
  EXPECT_EQ(name_of("zhipu", "glm-5.2"), R"(thinking={"type":"disabled"})");
  EXPECT_EQ(name_of("moonshot", "kimi-k3.1-pro"), "");
  EXPECT_EQ(name_of("", "m"), "");
}

class Backends : public ::testing::Test {
 protected:
  std::shared_ptr<Backend> make(config::Backend settings) {
    auto made = Backend::make(settings, metrics_.add_thread());
    EXPECT_TRUE(made.ok()) << made.error().message;
    return *made;
  }
  std::shared_ptr<Backend> local() {
    config::Backend settings;
    settings.name = "local";
    settings.engine = "llama.cpp";
    return make(settings);
  }
  void tell(Backend& backend, LocalStatus::State state, std::uint16_t port = 0, std::string key = "") {
    LocalStatus status;
    status.state = state;
    status.port = port;
    status.key = std::move(key);
    backend.set_local(status);
    spillway::testing::settle(loop_);
  }

  record::Metrics metrics_;
  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
};

TEST_F(Backends, the_head_names_path_host_key_and_own_headers) {
  config::Backend settings;
  settings.name = "cloud";
  settings.base_url = "http://api.example.com:8080/v1";
  settings.api_key.value = "sk-1";
  settings.headers = {{"X-Org", {"", "o"}}, {"User-Agent", {"", "mine"}}};
  const auto backend = make(settings);
  EXPECT_EQ(backend->head(api::Endpoint::kChat),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com:8080\r\nContent-Type: application/json\r\n"
            "Accept-Encoding: identity\r\nAuthorization: Bearer sk-1\r\nUser-Agent: mine\r\nX-Org: o\r\n");
  EXPECT_TRUE(backend->overrides("user-agent"));
  EXPECT_FALSE(backend->overrides("accept"));
  EXPECT_TRUE(backend->ready());
  EXPECT_FALSE(backend->loading());
}

TEST_F(Backends, its_secrets_are_masked_in_what_an_upstream_says) {
  config::Backend settings;
  settings.name = "cloud";
  settings.base_url = "http://api.example.com";
  settings.api_key.value = "sk-secret-1";
  settings.headers = {{"X-Team", {"env:TEAM", "team-secret"}},
                      {"Private-Token", {"", "Basic literal-secret"}},
                      {"X-Plain", {"", "plain-value"}},
                      {"X-Key", {"", "short"}}};
  const auto backend = make(settings);
  EXPECT_EQ(backend->masked("a sk-secret-1sk-secret-1 b team-secret, literal-secret; plain-value short"),
            "a ****** b ***, ***; plain-value short");
  EXPECT_TRUE(backend->holds_secret("x=sk-secret-1"));
  EXPECT_FALSE(backend->holds_secret("sk-secret-"));
  EXPECT_EQ(backend->masked("nothing to hide"), "nothing to hide");
}

TEST_F(Backends, without_a_key_there_is_no_authorization) {
  config::Backend settings;
  settings.name = "cloud";
  settings.base_url = "http://[::1]";
  const auto backend = make(settings);
  EXPECT_EQ(backend->head(api::Endpoint::kChat).find("Authorization"), std::string::npos);
  EXPECT_NE(backend->head(api::Endpoint::kChat).find("\r\nHost: [::1]\r\n"), std::string::npos);
}

TEST_F(Backends, tls_is_set_up_for_https_alone) {
  config::Backend settings;
  settings.name = "cloud";
  settings.base_url = "https://api.example.com";
  EXPECT_NE(make(settings)->origin().tls, nullptr);
  settings.base_url = "http://api.example.com";
  EXPECT_EQ(make(settings)->origin().tls, nullptr);
}

TEST_F(Backends, one_that_cannot_be_made_says_why) {
  config::Backend settings;
  settings.name = "cloud";
  settings.base_url = "https://api.example.com";
  settings.ca_file = "/nowhere/ca.pem";
  const auto no_file = Backend::make(settings, metrics_.add_thread());
  ASSERT_FALSE(no_file.ok());
  EXPECT_NE(no_file.error().message.find("/nowhere/ca.pem"), std::string::npos);
  settings.base_url = "gopher://x";
  EXPECT_FALSE(Backend::make(settings, metrics_.add_thread()).ok());
}

TEST_F(Backends, connections_of_two_backends_are_never_shared) {
  config::Backend one;
  one.name = "one";
  one.base_url = "http://a";
  config::Backend two = one;
  two.name = "two";
  EXPECT_NE(make(one)->origin().key, make(two)->origin().key);
}

TEST_F(Backends, a_local_one_is_asked_where_its_replica_listens) {
  const auto backend = local();
  EXPECT_TRUE(backend->loading());
  EXPECT_FALSE(backend->ready());
  tell(*backend, LocalStatus::State::kReady, 4567, "secret");
  EXPECT_TRUE(backend->ready());
  EXPECT_EQ(backend->origin().url.port, 4567);
  EXPECT_NE(backend->head(api::Endpoint::kChat).find("Host: 127.0.0.1:4567\r\n"), std::string::npos);
  EXPECT_NE(backend->head(api::Endpoint::kChat).find("Authorization: Bearer secret\r\n"), std::string::npos);
  const std::string before = backend->origin().key;
  tell(*backend, LocalStatus::State::kReady, 4567, "another");
  EXPECT_NE(backend->origin().key, before);
}

TEST_F(Backends, what_it_is_given_at_once_is_of_its_kind) {
  config::Backend cloud;
  config::Limits limits;
  limits.max_waiting = 7;
  admit::Gate::Settings settings = gate_settings(cloud, limits);
  EXPECT_EQ(settings.limiter, admit::Limiter::Settings{});
  EXPECT_EQ(settings.rate, 0u);
  EXPECT_EQ(settings.max_waiting, 7u);
  EXPECT_FALSE(settings.loads);
  cloud.max_concurrency = 5;
  cloud.rate = "60/m";
  settings = gate_settings(cloud, limits);
  EXPECT_EQ(settings.limiter.fixed, 5);
  EXPECT_EQ(settings.rate, 60u);
  EXPECT_EQ(settings.rate_window, seconds(60));
  config::Backend engine;
  engine.engine = "llama.cpp";
  engine.tier = Tier::kEdge;
  engine.replicas = 2;
  engine.parallel = 3;
  settings = gate_settings(engine, limits);
  EXPECT_EQ(settings.limiter.most, 6);
  EXPECT_TRUE(settings.limiter.by_first_token);
  EXPECT_TRUE(settings.loads);
}

}  // namespace
}  // namespace spillway::backend
