#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "environment.h"

namespace spillway::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

std::string all(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.to_string() + "\n";
  return out;
}

Config load(std::string_view toml, std::map<std::string, std::string> variables = {}) {
  Loaded loaded = load_text(toml, "t.toml", environment_of(std::move(variables)));
  EXPECT_TRUE(loaded.config.has_value()) << all(loaded.problems);
  return loaded.config.value_or(Config{});
}

std::vector<std::string> target_names(const Config& config) {
  std::vector<std::string> names;
  for (const Target& target : config.routes.at(0).targets) names.push_back(target.backend);
  return names;
}

TEST(Load, an_empty_file_is_the_embedded_default) {
  const Config config = load("");
  EXPECT_EQ(config.backends, embedded_default(environment_of({})).config->backends);
  EXPECT_THAT(target_names(config), ElementsAre("local"));
}

TEST(Load, a_preset_fills_in_what_is_not_set) {
  const Config config =
      load("[[backend]]\nname = \"d\"\npreset = \"deepseek\"\nregion = \"eu\"\n", {{"DEEPSEEK_API_KEY", "sk-1"}});
  const Backend& backend = config.backends.at(0);
  EXPECT_EQ(backend.base_url, "https://api.deepseek.com/v1");
  EXPECT_EQ(backend.region, "eu");
  EXPECT_EQ(backend.api_key, (Secret{"env:DEEPSEEK_API_KEY", "sk-1"}));
}

TEST(Load, an_empty_text_is_as_good_as_none) {
  const Config config = load("[[backend]]\nname = \"d\"\npreset = \"deepseek\"\nbase_url = \"\"\nregion = \"\"\n",
                             {{"DEEPSEEK_API_KEY", "sk-1"}});
  EXPECT_EQ(config.backends.at(0).base_url, "https://api.deepseek.com/v1");
  EXPECT_EQ(config.backends.at(0).region, "cn");
}

TEST(Load, routes_may_name_the_backends_of_the_embedded_default) {
  const auto loaded = load_text("[[route]]\ntargets = [{ backend = \"local\" }]\n", "t.toml",
                                environment_of({{"DEEPSEEK_API_KEY", "sk-1"}}));
  ASSERT_TRUE(loaded.config.has_value()) << all(loaded.problems);
  EXPECT_EQ(all(loaded.warnings), "");
  EXPECT_EQ(loaded.config->backends, embedded_default(environment_of({{"DEEPSEEK_API_KEY", "sk-1"}})).config->backends);
  EXPECT_THAT(target_names(*loaded.config), ElementsAre("local"));
}

TEST(Load, a_key_that_is_a_line_of_a_shells_file_is_refused_with_the_mend) {
  const std::string backend = "[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\napi_key = \"env:KEY\"\n";
  for (const char* const text : {"OPENAI_API_KEY=sk-1", "export OPENAI_API_KEY=sk-1", "X_Y2="}) {
    const auto loaded = load_text(backend, "t.toml", environment_of({{"KEY", text}}));
    ASSERT_FALSE(loaded.config.has_value()) << text;
    EXPECT_THAT(all(loaded.problems), testing::HasSubstr("only what stands behind the \"=\" is the key"));
    EXPECT_THAT(all(loaded.problems), testing::Not(testing::HasSubstr("sk-1")));
  }
  for (const char* const text : {"sk-1", "AIzaSy=", "sk-or-v1-A_B=C", "dGhlIGtleQ=="})
    EXPECT_TRUE(load_text(backend, "t.toml", environment_of({{"KEY", text}})).config.has_value()) << text;
}

TEST(Load, a_llama_server_and_spillway_need_a_port_each) {
  const std::string backend = "[[backend]]\nname = \"a\"\npreset = \"llama.cpp\"\n";
  EXPECT_FALSE(load_text(backend, "t.toml", environment_of({})).config.has_value());
  EXPECT_EQ(load("[server]\nlisten = \"127.0.0.1:8090\"\n" + backend).backends.size(), 1u);
  EXPECT_EQ(load(backend + "base_url = \"http://127.0.0.1:8090\"\n").backends.size(), 1u);
}

TEST(Load, backends_without_routes_serve_every_name_in_order) {
  const Config config =
      load("[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\n[[backend]]\nname = \"b\"\nbase_url = \"http://y\"\n");
  EXPECT_EQ(config.routes.at(0).model, "*");
  EXPECT_THAT(target_names(config), ElementsAre("a", "b"));
}

TEST(Load, a_local_backend_is_edge_unless_it_says_otherwise) {
  EXPECT_EQ(load("[[backend]]\nname = \"l\"\nengine = \"llama.cpp\"\nmodel = \"m\"\n").backends.at(0).tier,
            Tier::kEdge);
  EXPECT_EQ(
      load("[[backend]]\nname = \"l\"\nengine = \"llama.cpp\"\nmodel = \"m\"\ntier = \"device\"\n").backends.at(0).tier,
      Tier::kDevice);
}

TEST(Load, the_files_that_a_config_came_from_are_told_as_they_were) {
  const fs::path folder = fs::temp_directory_path() / ("files_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "key") << "sk-file";
  std::ofstream(folder / "ca.pem") << "no certificate";
  std::ofstream(folder / "c.toml") << "[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\napi_key = \"file:" +
                                          (folder / "key").string() + "\"\nca_file = \"" +
                                          (folder / "ca.pem").string() +
                                          "\"\nheaders = { \"x-team\" = \"file:" + (folder / "missing").string() +
                                          "\" }\n";
  const Loaded loaded = load_file(folder / "c.toml", environment_of({}));
  EXPECT_FALSE(loaded.config.has_value());
  std::vector<fs::path> names;
  for (const SeenFile& file : loaded.files) {
    names.push_back(file.path.filename());
    EXPECT_EQ(file.state, file_state(file.path)) << file.path;
    EXPECT_EQ(file.state.size == -1, file.path.filename() == "missing");
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("c.toml", "key", "ca.pem", "missing"));
  EXPECT_EQ(names.front(), "c.toml");
  fs::remove_all(folder);
}

TEST(Load, a_key_file_is_read_without_its_line_end) {
  const fs::path file = fs::temp_directory_path() / ("key_" + std::to_string(::getpid()));
  std::ofstream(file) << "sk-file\r\n";
  const Config config =
      load("[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\napi_key = \"file:" + file.string() + "\"\n");
  fs::remove(file);
  EXPECT_EQ(config.backends.at(0).api_key.value, "sk-file");
}

TEST(Load, a_backend_that_no_route_names_is_warned_of) {
  const auto loaded = load_text(
      "[[backend]]\nname = \"a\"\nbase_url = \"http://x\"\n[[backend]]\nname = \"b\"\nbase_url = \"http://y\"\n"
      "[[route]]\ntargets = [{ backend = \"a\" }]\n",
      "t.toml", environment_of({}));
  ASSERT_TRUE(loaded.config.has_value());
  EXPECT_THAT(all(loaded.warnings), HasSubstr("no Route names the backend b"));
}

TEST(Load, a_file_that_cannot_be_read_is_named) {
  const auto loaded = load_file("/nonexistent/a.toml", environment_of({}));
  ASSERT_FALSE(loaded.config.has_value());
  EXPECT_THAT(all(loaded.problems), HasSubstr("/nonexistent/a.toml"));
}

TEST(Load, a_file_of_more_than_one_mebibyte_is_refused) {
  const fs::path file = fs::temp_directory_path() / ("large_" + std::to_string(::getpid()));
  std::ofstream(file) << std::string((1u << 20) + 1, '\n');
  const auto loaded = load_file(file, environment_of({}));
  fs::remove(file);
  ASSERT_FALSE(loaded.config.has_value());
  EXPECT_THAT(all(loaded.problems), HasSubstr(file.string()));
}

TEST(EmbeddedDefault, providers_with_a_key_go_before_the_local_model) {
  const auto loaded = embedded_default(environment_of({{"DASHSCOPE_API_KEY", "b"}, {"DEEPSEEK_API_KEY", "a"}}));
  ASSERT_TRUE(loaded.config.has_value());
  EXPECT_THAT(target_names(*loaded.config), ElementsAre("deepseek", "dashscope", "local"));
  EXPECT_EQ(loaded.config->routes.at(0).targets.at(0).model, "deepseek-flash");
}

TEST(EmbeddedDefault, a_key_that_is_empty_counts_as_none) {
  EXPECT_THAT(target_names(*embedded_default(environment_of({{"DEEPSEEK_API_KEY", ""}})).config), ElementsAre("local"));
}

TEST(EmbeddedDefault, any_provider_with_a_key_is_asked_and_names_that_it_lists_pass_through) {
  const auto loaded = embedded_default(
      environment_of({{"ANTHROPIC_API_KEY", "a"}, {"HF_TOKEN", "h"}, {"MOONSHOT_API_KEY", "m"}, {"ZAI_API_KEY", "z"}}));
  // Of two hosts with one variable the first; one whose address only the user knows is left out.
  EXPECT_THAT(target_names(*loaded.config), ElementsAre("anthropic", "zai", "moonshot", "huggingface", "local"));
  const std::vector<Target>& targets = loaded.config->routes.front().targets;
  EXPECT_EQ(targets.front().model, "claude-haiku-5-5");
  EXPECT_TRUE(targets.front().unless_listed);
  EXPECT_FALSE(targets.back().unless_listed);
}

TEST(FindFile, the_option_then_the_variable_then_home) {
  const fs::path home = fs::temp_directory_path() / ("home_" + std::to_string(::getpid()));
  fs::create_directories(home / ".config/spillway");
  std::ofstream(home / ".config/spillway/spillway.toml") << "";
  const auto both = environment_of({{"SPILLWAY_CONFIG", "/named.toml"}, {"HOME", home}});
  EXPECT_EQ(find_file("/asked.toml", both), "/asked.toml");
  EXPECT_EQ(find_file(std::nullopt, both), "/named.toml");
  EXPECT_EQ(find_file(std::nullopt, environment_of({{"HOME", home}})), home / ".config/spillway/spillway.toml");
  EXPECT_EQ(find_file(std::nullopt, environment_of({{"HOME", "/nonexistent"}})), std::nullopt);
  fs::remove_all(home);
}

}  // namespace
}  // namespace spillway::config
