#include "fleet/models/memory.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

GgufDetails model_of(const std::string& architecture, std::map<std::string, std::vector<std::int64_t>> numbers) {
  GgufDetails out;
  out.info.architecture = architecture;
  out.info.context_length = 1u << 20;
  for (auto& [key, values] : numbers) out.numbers[architecture + "." + key] = std::move(values);
  return out;
}

GgufDetails grouped(std::int64_t layers, std::int64_t embedding, std::int64_t heads, std::int64_t kv_heads) {
  return model_of("llama", {{"block_count", {layers}},
                            {"embedding_length", {embedding}},
                            {"feed_forward_length", {4 * embedding}},
                            {"attention.head_count", {heads}},
                            {"attention.head_count_kv", {kv_heads}}});
}

std::uint64_t cache_per_token(const GgufDetails& model) {
  return estimate_memory(model, {.context = 4096}).cache / 4096;
}

// Computed from the models' own configurations: layers, heads of keys and values, width of a head.
TEST(Memory, a_token_takes_what_the_layers_heads_tell) {
  EXPECT_EQ(cache_per_token(grouped(28, 3584, 28, 4)), 57'344u);           // Qwen2.5-7B
  EXPECT_EQ(cache_per_token(grouped(64, 5120, 40, 8)), 262'144u);          // Qwen2.5-32B
  EXPECT_EQ(cache_per_token(grouped(80, 8192, 64, 8)), 327'680u);          // Llama 70B
  EXPECT_EQ(cache_per_token(model_of("deepseek2", {{"block_count", {61}},  // V3: latent attention keeps 512 + 64
                                                   {"embedding_length", {7168}},
                                                   {"attention.head_count", {128}},
                                                   {"attention.head_count_kv", {1}},
                                                   {"attention.key_length", {576}},
                                                   {"attention.value_length", {512}},
                                                   {"attention.key_length_mla", {192}},
                                                   {"attention.value_length_mla", {128}}})),
            70'272u);
}

TEST(Memory, slots_have_a_cache_each_of_whole_blocks) {
  const GgufDetails model = grouped(2, 64, 1, 1);
  const std::uint64_t cell = 2 * 2 * 64 * 2;  // layers, keys and values, width, F16
  EXPECT_EQ(estimate_memory(model, {.context = 1}).cache, 256 * cell);
  EXPECT_EQ(estimate_memory(model, {.context = 257, .slots = 3}).cache, 3 * 512 * cell);
  EXPECT_EQ(estimate_memory(model, {.context = 100, .slots = 3, .unified = true}).cache, 512 * cell);
  EXPECT_EQ(estimate_memory(model, {.context = 256, .key_type = 8}).cache, 256 * 2 * (64 * 2 + 68));
}

TEST(Memory, windowed_layers_keep_a_window) {
  GgufDetails model = model_of("gemma2", {{"block_count", {4}},
                                          {"embedding_length", {64}},
                                          {"attention.head_count", {1}},
                                          {"attention.sliding_window", {1024}}});
  const std::uint64_t cell = 2 * 64 * 2;
  EXPECT_EQ(estimate_memory(model, {.context = 8192}).cache, (2 * 8192 + 2 * 1536) * cell);
  EXPECT_EQ(estimate_memory(model, {.context = 512}).cache, 4 * 512 * cell);
  model.numbers["gemma2.attention.sliding_window_pattern"] = {1, 1, 1, 0};
  EXPECT_EQ(estimate_memory(model, {.context = 8192}).cache, (8192 + 3 * 1536) * cell);
}

TEST(Memory, layers_of_a_hybrid_have_a_state_or_a_cache) {
  const GgufDetails model = model_of("jamba", {{"block_count", {3}},
                                               {"embedding_length", {64}},
                                               {"attention.head_count", {1}},
                                               {"attention.head_count_kv", {0, 1, 0}},
                                               {"ssm.state_size", {16}},
                                               {"ssm.inner_size", {128}},
                                               {"ssm.conv_kernel", {4}}});
  const std::uint64_t state = (3 * 128 + 16 * 128) * 4;
  EXPECT_EQ(estimate_memory(model, {.context = 256, .slots = 2}).cache, 2 * (2 * state + 256 * 2 * 64 * 2));
}

TEST(Memory, experts_are_all_there_but_not_all_read) {
  GgufDetails model = model_of("qwen3moe", {{"expert_count", {128}}, {"expert_used_count", {8}}});
  model.tensor_bytes = 1000 * kMiB;
  model.expert_bytes = 640 * kMiB;
  model.embedding_bytes = 10 * kMiB;
  model.tied = false;
  EXPECT_EQ(estimate_memory(model, {}).weights, 1000 * kMiB);
  EXPECT_EQ(bytes_per_token(model), (1000 - 600 - 10) * kMiB);
}

TEST(Memory, the_largest_context_is_the_last_that_fits) {
  const GgufDetails model = grouped(28, 3584, 28, 4);
  const std::uint64_t room = 2000 * kMiB;
  const auto context = largest_context(model, {}, room);
  ASSERT_TRUE(context);
  EXPECT_LE(estimate_memory(model, {.context = *context}).total(), room);
  EXPECT_GT(estimate_memory(model, {.context = *context + 256}).total(), room);
  EXPECT_FALSE(largest_context(model, {}, kMiB));
}

TEST(Memory, of_hostile_numbers_is_large_and_never_small_by_overflow) {
  const std::int64_t huge = std::int64_t{1} << 31;
  const GgufDetails model = grouped(huge, huge, 1, huge);
  EXPECT_EQ(estimate_memory(model, {.context = 1u << 30, .slots = 1u << 16}).total() >> 62, 3u);
  EXPECT_EQ(estimate_memory(model_of("", {}), {}).cache, 0u);
  EXPECT_EQ(estimate_memory(grouped(-1, -5, 0, 0), {}).cache, 0u);
  EXPECT_EQ(bytes_per_token(model_of("x", {{"expert_count", {7}}, {"expert_used_count", {9}}})), 0u);
}

}  // namespace
}  // namespace spillway::fleet
