#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "environment.h"

namespace spillway::config {
namespace {

const auto kEnvironment = environment_of({{"KEY", "sk-secret"}, {"DEEPSEEK_API_KEY", "sk-other"}});

void expect_round_trip(const Config& config) {
  const std::string text = print(config);
  Loaded again = load_text(text, config.file, kEnvironment);
  ASSERT_TRUE(again.config.has_value()) << again.problems.at(0).to_string() << "\n" << text;
  EXPECT_EQ(*again.config, config) << text;
}

TEST(Print, the_embedded_default_reads_back_alike) { expect_round_trip(*embedded_default(kEnvironment).config); }

TEST(Print, every_option_reads_back_alike) {
  const auto loaded = load_text(R"(
[server]
listen = "0.0.0.0:0"
admin_listen = "[::1]:9"
threads = 3
require_key = true
drain_timeout = "1500ms"
cors_origins = ["https://a.example", "null"]
hosts = ["llm.example"]
[limits]
max_body = "1MB"
max_header = "300B"
max_connections = 7
header_timeout = "1ms"
body_timeout = "2h"
keep_alive_timeout = "3s"
write_timeout = "4m"
max_event = "5KiB"
max_response = "6GiB"
max_waiting = 0
[defaults]
connect_timeout = "7ms"
first_token_timeout = "8s"
idle_timeout = "9s"
min_tokens_per_second = 0.5
deadline = "10m"
[log]
level = "off"
access = "a \"quoted\" \\ path"
access_max_size = "64KiB"
access_files = 2
[governor]
on = true
set_point = 0.5
[autoscale]
cpu = 0.5
cpu_for = "10s"
gpu = 0.6
queue_wait = "2s"
first_token = "3s"
wait_for = "4s"
provider_health = false
down_after = "1m"
[[backend]]
name = "cloud"
preset = "deepseek"
base_url = "http://[::1]:8000/v1"
api_key = "env:KEY"
tier = "device"
region = "eu"
max_concurrency = 4
rate = "60/m"
resume = "none"
headers = { "x-a" = "1", "x-b" = "ü", "x-team-token" = "env:KEY" }
forward_headers = ["x-team"]
ca_file = "/ca.pem"
idle_timeout = "3s"
min_tokens_per_second = 1.25
[[backend]]
name = "local"
engine = "llama.cpp"
model = "/m.gguf"
replicas = 2
standby = 1
launcher = "docker"
cpus = 1.5
gpus = ["0", "GPU-1"]
image = "engine:1"
image_digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
image_program = "/app/llama-server"
context = 128
parallel = 4
engine_threads = 3
start_timeout = "2m"
hang_timeout = "20s"
engine_args = ["--a", "b \" c"]
memory_check = false
balance = "least"
deadline = "5m"
[[backend]]
name = "turns"
engine = "llama.cpp"
models = ["/m.gguf", "two:1"]
memory = "3GiB"
unload_after = "90s"
[[route]]
model = "gpt-*"
workload = "batch"
policy = "weighted"
targets = [{ backend = "cloud", model = "x", weight = 0.25 }, { backend = "local" }]
retries = 0
retry_after_wait = "2s"
hedge = "800ms"
resume = false
connect_timeout = "1s"
)",
                                "t.toml", kEnvironment);
  ASSERT_TRUE(loaded.config.has_value()) << loaded.problems.at(0).to_string();
  expect_round_trip(*loaded.config);
}

TEST(Print, texts_that_are_empty_read_back_alike) {
  const auto loaded =
      load_text("[[backend]]\nname = \"d\"\npreset = \"deepseek\"\nbase_url = \"\"\nregion = \"\"\nrate = \"\"\n",
                "t.toml", kEnvironment);
  ASSERT_TRUE(loaded.config.has_value()) << loaded.problems.at(0).to_string();
  expect_round_trip(*loaded.config);
}

TEST(Print, a_secret_is_told_by_its_source_alone) {
  const auto loaded =
      load_text("[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\napi_key = \"env:KEY\"\n", "t.toml", kEnvironment);
  const std::string text = print(*loaded.config);
  EXPECT_THAT(text, testing::HasSubstr("api_key = \"env:KEY\""));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("sk-secret")));
}

TEST(Print, a_header_field_that_names_a_secret_is_masked) {
  const auto loaded = load_text(
      "[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\nheaders = { \"X-Team-Token\" = \"literal-secret\", "
      "\"x-key\" = "
      "\"env:KEY\", \"x-plain\" = \"blue\" }\n",
      "t.toml", kEnvironment);
  ASSERT_TRUE(loaded.config.has_value());
  const std::string text = print(*loaded.config);
  EXPECT_THAT(text, testing::HasSubstr(R"("X-Team-Token" = "***", "x-key" = "env:KEY", "x-plain" = "blue")"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("secret")));
  ASSERT_EQ(loaded.warnings.size(), 1u);
  EXPECT_THAT(loaded.warnings[0].to_string(), testing::HasSubstr("looks like a secret"));
  EXPECT_THAT(loaded.warnings[0].to_string(), testing::Not(testing::HasSubstr("literal-secret")));
}

}  // namespace
}  // namespace spillway::config
