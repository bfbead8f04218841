#include "fleet/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/engine/llama_cpp.h"
#include "fleet/memory_book.h"
#include "fleet/plan.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

std::string recorded(const std::string& name) {
  return testing::content_of(std::filesystem::path(ENGINE_SHAPES) / name);
}

EngineLoad load_of(const char* engine, const std::string& text) {
  const auto load = find_engine(engine)->read_metrics(text);
  EXPECT_TRUE(load) << engine;
  return load.value_or(EngineLoad{});
}

TEST(Engines, are_found_by_their_name) {
  for (const char* name : {"llama.cpp", "vllm", "sglang", "tensorrt-llm", "ollama"}) {
    ASSERT_NE(find_engine(name), nullptr) << name;
    EXPECT_EQ(find_engine(name)->name(), name);
    EXPECT_NE(find_engine(name)->capabilities().image, "");
  }
  EXPECT_EQ(find_engine("gpt"), nullptr);
  EXPECT_EQ(engines().size(), 5u);
}

TEST(Engines, tell_their_load_in_their_own_words) {
  const EngineLoad vllm = load_of("vllm", recorded("vllm.metrics"));
  EXPECT_EQ(vllm.running, 16);  // of two engines behind one server
  EXPECT_EQ(vllm.waiting, 3);
  EXPECT_EQ(vllm.kv_usage, 0.8125);
  const EngineLoad sglang = load_of("sglang", recorded("sglang.metrics"));
  EXPECT_EQ(sglang.running, 162);
  EXPECT_EQ(sglang.waiting, 2826);
  EXPECT_EQ(sglang.kv_usage, 0.28);
  const EngineLoad trt = load_of("tensorrt-llm", recorded("trtllm.json"));
  EXPECT_EQ(trt.running, 8);
  EXPECT_EQ(trt.waiting, 2);
  EXPECT_EQ(trt.kv_usage, 0.5);
  EXPECT_EQ(load_of("tensorrt-llm", "[]").running, 0);
  const EngineLoad llama = load_of("llama.cpp", recorded("llama_cpp.metrics"));
  EXPECT_EQ(llama.running, 2);
  EXPECT_EQ(llama.waiting, 5);
  EXPECT_FALSE(llama.kv_usage);
}

TEST(Engines, take_nothing_for_a_load_that_is_none) {
  for (const Engine* engine : engines()) {
    for (const char* text :
         {"", "<html>", "{}", "vllm:num_requests_running nan\nvllm:num_requests_waiting -1\n", "[1]", "[[["}) {
      EXPECT_FALSE(engine->read_metrics(text)) << engine->name() << ": " << text;
    }
  }
  EXPECT_EQ(metric("a{x=\"}\"} 2\na{} 3 1700000000\nab 9\n", "a"), 5);
  EXPECT_FALSE(metric("ab 9\n", "a"));
}

config::Backend backend() {
  config::Backend out;
  out.name = "b";
  out.model = "org/model";
  out.context = 8192;
  out.parallel = 3;
  out.critical_parallel = 1;
  out.engine_args = {"--tensor-parallel-size", "2"};
  return out;
}

TEST(Engines, are_called_with_address_model_context_and_slots) {
  const config::Backend settings = backend();
  Model model;
  model.path = "/models/x";
  const EngineStart start{settings, model, 4711, "s3cret"};
  EXPECT_THAT(find_engine("vllm")->arguments(start),
              ::testing::ElementsAre("serve", "/models/x", "--host", "127.0.0.1", "--port", "4711",
                                     "--served-model-name", "org/model", "--max-model-len", "8192", "--max-num-seqs",
                                     "4", "--tensor-parallel-size", "2"));
  EXPECT_THAT(find_engine("sglang")->arguments(start),
              IsSupersetOf({"sglang.launch_server", "--model-path", "/models/x", "4711", "--context-length", "8192",
                            "--max-running-requests", "4", "--enable-metrics"}));
  EXPECT_THAT(find_engine("tensorrt-llm")->arguments(start),
              IsSupersetOf({"serve", "/models/x", "--port", "4711", "--max_seq_len", "8192", "--max_batch_size", "4"}));
  EXPECT_THAT(find_engine("ollama")->environment({}, start),
              IsSupersetOf({"OLLAMA_HOST=127.0.0.1:4711", "OLLAMA_NUM_PARALLEL=4", "OLLAMA_CONTEXT_LENGTH=8192"}));
}

TEST(Engines, hand_no_providers_key_on_and_hide_their_own) {
  const config::Backend settings = backend();
  const Model model;
  const EngineStart start{settings, model, 4711, "s3cret"};
  for (const Engine* engine : engines()) {
    const auto environment = engine->environment({"PATH=/bin", "DEEPSEEK_API_KEY=x", "CUDA_VISIBLE_DEVICES=1"}, start);
    EXPECT_THAT(environment, IsSupersetOf({"PATH=/bin", "CUDA_VISIBLE_DEVICES=1"})) << engine->name();
    EXPECT_THAT(environment, Not(Contains(HasSubstr("DEEPSEEK")))) << engine->name();
    if (engine->name() == "sglang") continue;  // takes it as an argument alone
    EXPECT_THAT(engine->arguments(start), Not(Contains(HasSubstr("s3cret")))) << engine->name();
  }
}

TEST(Engines, refuse_arguments_that_are_spillways) {
  EXPECT_FALSE(find_engine("vllm")->check_arguments({"--port=1"}).ok());
  EXPECT_FALSE(find_engine("sglang")->check_arguments({"--api-key", "x"}).ok());
  EXPECT_FALSE(find_engine("tensorrt-llm")->check_arguments({"--host", "x"}).ok());
  EXPECT_FALSE(find_engine("ollama")->check_arguments({"--anything"}).ok());
  EXPECT_TRUE(find_engine("vllm")->check_arguments({"--enforce-eager"}).ok());
}

TEST(Engines, tell_of_a_traceback_its_last_error) {
  EXPECT_EQ(
      find_engine("vllm")->failure_text("Traceback (most recent call last):\n  File \"x\"\nValueError: wrong\n  more\n"
                                        "RuntimeError: No CUDA GPUs are available\n"),
      "RuntimeError: No CUDA GPUs are available");
  EXPECT_EQ(find_engine("vllm")->failure_text("a\nb\n"), "a; b");
}

TEST(LlamaCpp, tells_what_it_takes_over_all_devices) {
  const auto cpu = llama_cpp::reported_memory(
      "0.1 I common_memory_breakdown_print: | memory breakdown [MiB] | total   free    self   model   context   "
      "compute    unaccounted |\n"
      "0.1 I common_memory_breakdown_print: |   - Host               |                  337 =   141 +     128 +      "
      "68                |\n"
      "0.1 I common_memory_breakdown_print: |   - CPU_REPACK         |                  662 =   662 +       0 +       "
      "0                |\n");
  ASSERT_TRUE(cpu);
  EXPECT_EQ(*cpu, (MemoryUse{803u << 20, 128u << 20, 68u << 20}));
  const auto gpu = llama_cpp::reported_memory(
      "x: | memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |\n"
      "x: |   - CUDA0 (RTX 4090)   | 24111 = 20000 + (4000 =  3000 +     800 +     200) +         111 |\n"
      "x: |   - Host               |                   96 =    64 +       0 +      32                |\n");
  ASSERT_TRUE(gpu);
  EXPECT_EQ(*gpu, (MemoryUse{3064u << 20, 800u << 20, 232u << 20}));
  EXPECT_FALSE(llama_cpp::reported_memory("|   - Host | 1 = 1 + 1 + 1 |\n"));
  EXPECT_FALSE(llama_cpp::reported_memory("memory breakdown [MiB]\n|   - Host | = |\n"));
}

TEST(LlamaCpp, runs_in_the_shape_that_its_arguments_tell) {
  config::Backend settings = backend();
  settings.engine_args = {"-ctk", "q8_0", "--cache-type-v=q4_0", "--kv-unified", "-ub", "1024"};
  const RunShape shape = llama_cpp::run_shape(settings);
  EXPECT_EQ(shape.context, 8192u);
  EXPECT_EQ(shape.slots, 4u);
  EXPECT_EQ(shape.batch, 1024u);
  EXPECT_EQ(shape.key_type, 8u);
  EXPECT_EQ(shape.value_type, 2u);
  EXPECT_TRUE(shape.unified);
  settings.engine_args = {"-ub"};
  EXPECT_EQ(llama_cpp::run_shape(settings).batch, 512u);
}

GgufDetails tiny() {
  GgufDetails out;
  out.info.architecture = "llama";
  out.tensor_bytes = 1000;
  out.numbers = {{"llama.block_count", {2}}, {"llama.embedding_length", {64}}, {"llama.attention.head_count", {1}}};
  return out;
}

TEST(MemoryBook, remembers_what_an_engine_said_and_corrects_by_it) {
  const testing::TemporaryFolder folder;
  MemoryBook book(folder.path() / "memory.json");
  const RunShape small{.context = 256};
  const RunShape large{.context = 512};
  const MemoryUse guess = estimate_memory(tiny(), small);
  EXPECT_FALSE(book.expect("d", tiny(), small).measured);
  const MemoryUse was{guess.weights + 500, guess.cache, guess.compute - 100};
  ASSERT_TRUE(book.note("d", small, was).ok());
  EXPECT_TRUE(MemoryBook(folder.path() / "memory.json").expect("d", tiny(), small).measured);
  EXPECT_EQ(book.expect("d", tiny(), small).memory, was);
  const auto other = book.expect("d", tiny(), large);
  EXPECT_FALSE(other.measured);
  const MemoryUse plain = estimate_memory(tiny(), large);
  EXPECT_EQ(other.memory, (MemoryUse{plain.weights + 500, plain.cache, plain.compute - 100}));
  EXPECT_EQ(book.expect("e", tiny(), small).memory, guess);
  for (const char* broken : {"", "[]", "{\"d\":7}", "{\"d\":{\"1x2\":{\"weights\":1,\"cache\":2,\"compute\":3}}}",
                             "{\"d\":{\"x\":{\"weights\":-1}}}"}) {
    folder.write("memory.json", broken);
    EXPECT_EQ(book.expect("d", tiny(), small).memory, guess) << broken;
  }
}

TEST(Room, that_is_too_small_is_told_with_numbers_and_what_would_fit) {
  ReplicaPlan plan;
  plan.memory = {4'000'000'000, 1'000'000'000, 500'000'000};
  EXPECT_TRUE(check_room(plan, 5'500'000'000, "this machine has").ok());
  EXPECT_TRUE(check_room(plan, 0, "nobody knows").ok());
  const Status refused = check_room(plan, 5'000'000'000, "this machine has");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(
      refused.error().message,
      HasSubstr(
          "needs 5.50 GB of memory (4.00 GB weights, 1.00 GB cache, 0.50 GB to compute in), this machine has 5.00 GB"));
  EXPECT_NE(refused.error().hint, "");
  plan.memory = {};
  EXPECT_TRUE(check_room(plan, 1, "this machine has").ok());
}

}  // namespace
}  // namespace spillway::fleet
