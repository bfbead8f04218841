#include "fleet/engine/llama_cpp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

config::Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

fs::path write_program(const testing::TemporaryFolder& folder, const std::string& name) {
  const fs::path path = folder.write(name, "#!/bin/sh\n");
  fs::permissions(path, fs::perms(0755));
  return path;
}

TEST(FindServer, takes_the_named_one_or_none) {
  const testing::TemporaryFolder folder;
  const fs::path named = write_program(folder, "my-server");
  const std::string path = write_program(folder, "bin/llama-server").parent_path();
  EXPECT_EQ(*llama_cpp::find_server(environment_of({{"SPILLWAY_LLAMA_SERVER", named}, {"PATH", path}})), named);
  const auto missing = llama_cpp::find_server(environment_of({{"SPILLWAY_LLAMA_SERVER", "/nowhere"}, {"PATH", path}}));
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere"));
  EXPECT_FALSE(missing.error().hint.empty());
}

TEST(FindServer, looks_into_the_cache_and_then_along_path) {
  const testing::TemporaryFolder folder;
  const fs::path on_path = write_program(folder, "bin/llama-server");
  const std::string path = "relative::" + (folder.path() / "none").string() + ":" + on_path.parent_path().string();
  EXPECT_EQ(*llama_cpp::find_server(environment_of({{"HOME", folder.path()}, {"PATH", path}})), on_path);
  const fs::path built = write_program(folder, ".cache/spillway/engine/current/bin/llama-server");
  EXPECT_EQ(*llama_cpp::find_server(environment_of({{"HOME", folder.path()}, {"PATH", path}})), built);
  const fs::path other = write_program(folder, "cache/engine/current/bin/llama-server");
  EXPECT_EQ(*llama_cpp::find_server(
                environment_of({{"SPILLWAY_CACHE", folder.path() / "cache"}, {"HOME", folder.path()}, {"PATH", path}})),
            other);
}

TEST(FindServer, a_missing_engine_comes_with_the_mend) {
  const testing::TemporaryFolder folder;
  folder.write("llama-server", "not executable");
  const auto none = llama_cpp::find_server(environment_of({{"HOME", "/nowhere"}, {"PATH", folder.path()}}));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("llama-server"));
  EXPECT_THAT(none.error().hint, HasSubstr("script/setup"));
}

TEST(EngineArguments, what_spillway_sets_may_not_be_set_again) {
  EXPECT_TRUE(llama_cpp::check_arguments({"--flash-attn", "on", "--cache-reuse", "256"}).ok());
  for (const char* ours : {"--port", "--port=1", "--api-key", "-m", "-np"}) {
    const Status refused = llama_cpp::check_arguments({"--flash-attn", ours});
    ASSERT_FALSE(refused.ok()) << ours;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(EngineArguments, context_is_for_each_of_the_parallel_answers) {
  config::Backend backend;
  backend.context = 4096;
  backend.parallel = 2;
  backend.critical_parallel = 1;
  backend.engine_threads = 8;
  backend.engine_args = {"--ctx-size", "1"};
  Model model;
  model.path = "/models/a,b.gguf";
  EXPECT_THAT(llama_cpp::server_arguments(backend, model, 4711),
              ElementsAre("--host", "127.0.0.1", "--port", "4711", "--model", "/models/a,b.gguf", "--alias", "a_b",
                          "--ctx-size", "12288", "--parallel", "3", "--no-ui", "--offline", "--metrics", "--verbosity",
                          "4", "--threads", "8", "--ctx-size", "1"));
}

TEST(EngineArguments, bound_the_cache_of_prompts_where_memory_is_bounded) {
  config::Backend backend;
  backend.memory = 512u << 20;
  Model model;
  model.path = "/m.gguf";
  model.size = 112u << 20;
  const std::vector<std::string> arguments = llama_cpp::server_arguments(backend, model, 1);
  EXPECT_THAT(arguments, IsSupersetOf({"--cache-ram", "100"}));
  model.size = 1u << 30;
  EXPECT_THAT(llama_cpp::server_arguments(backend, model, 1), IsSupersetOf({"--cache-ram", "0"}));
}

TEST(HeldPrompts, are_its_slots_and_its_cache_in_main_memory) {
  config::Backend backend;
  backend.parallel = 3;
  backend.critical_parallel = 1;
  Model model;
  model.size = 112u << 20;
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).slots, 4);
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).bytes, 8192ull << 20);
  backend.memory = 512u << 20;
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).bytes, 100ull << 20);
  backend.engine_args = {"--cache-ram", "7", "--kv-unified"};
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).bytes, 7ull << 20);
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).slots, 0);
  backend.engine_args = {"--cache-ram=5"};
  EXPECT_EQ(llama_cpp::held_prompts(backend, model).bytes, 5ull << 20);
}

TEST(EngineEnvironment, holds_the_key_and_no_secret_of_others) {
  const auto environment = llama_cpp::server_environment(
      {"PATH=/bin", "DEEPSEEK_API_KEY=sk-1", "LLAMA_ARG_PORT=1", "LLAMA_API_KEY=old", "CUDA_VISIBLE_DEVICES=0",
       "PATHOLOGY=x", "GGML_VK_VISIBLE_DEVICES=1", "https_proxy=http://p"},
      "fresh");
  EXPECT_THAT(environment, ElementsAre("PATH=/bin", "CUDA_VISIBLE_DEVICES=0", "GGML_VK_VISIBLE_DEVICES=1",
                                       "KMP_BLOCKTIME=1", "LLAMA_API_KEY=fresh"));
}

TEST(EngineEnvironment, leaves_openmp_to_whoever_has_tuned_it) {
  EXPECT_THAT(llama_cpp::server_environment({"OMP_WAIT_POLICY=active"}, "fresh"),
              ElementsAre("OMP_WAIT_POLICY=active", "LLAMA_API_KEY=fresh"));
}

TEST(WaitsAsleep, where_the_program_or_its_kernels_ask_for_openmp) {
  using namespace std::string_literals;
  const testing::TemporaryFolder folder;
  const fs::path program = folder.write("llama-server", "ELF\0libm.so.6\0"s);
  EXPECT_FALSE(llama_cpp::waits_asleep(program));
  EXPECT_FALSE(llama_cpp::waits_asleep(folder.path() / "missing"));
  folder.write("libggml-cpu-haswell.so", "ELF\0libgomp.so.1\0"s);
  EXPECT_TRUE(llama_cpp::waits_asleep(program));
}

TEST(FailureText, tells_the_engines_first_errors) {
  const std::string text = llama_cpp::failure_text(
      "0.00.005.880 I srv    load_model: loading model 't.gguf'\n"
      "0.00.021.507 E llama_model_load: error loading model: tensor 'x' is not within the file bounds\n"
      "0.00.021.574 E llama_model_load_from_file_impl: failed to load model\n"
      "0.00.037.383 I srv    operator(): cleaning up before exit...\n");
  EXPECT_EQ(text,
            "llama_model_load: error loading model: tensor 'x' is not within the file bounds; "
            "llama_model_load_from_file_impl: failed to load model");
}

TEST(FailureText, knows_errors_without_a_level_and_falls_back_to_the_last_lines) {
  EXPECT_EQ(llama_cpp::failure_text("usage: x\nerror: invalid argument: --nope\n"), "error: invalid argument: --nope");
  EXPECT_EQ(llama_cpp::failure_text("one\ntwo\n\nthree\nfour\n"), "two; three; four");
  EXPECT_EQ(llama_cpp::failure_text(""), "");
  EXPECT_LT(llama_cpp::failure_text(std::string(100'000, 'x')).size(), 700u);
}

}  // namespace
}  // namespace spillway::fleet
