#include "fleet/models/gguf.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>

#include "fleet/gguf_bytes.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using testing::GgufBytes;
using testing::tiny_gguf;

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

Result<std::optional<GgufInfo>> parse(const std::string& whole) { return parse_gguf(whole, whole.size()); }

// The Error's code of a whole file that must not be taken; kInternal when it was.
ErrorCode refusal(const std::string& whole, std::uint64_t file_size = 0) {
  const auto parsed = parse_gguf(whole, std::max<std::uint64_t>(file_size, whole.size()));
  EXPECT_FALSE(parsed.ok());
  return parsed.ok() ? ErrorCode::kInternal : parsed.error().code;
}

GgufBytes one_key() { return GgufBytes().header(1, 1); }

TEST(Gguf, a_whole_file_is_described) {
  const std::string file = tiny_gguf();
  const auto parsed = parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  ASSERT_TRUE(parsed->has_value());
  const GgufInfo& info = **parsed;
  EXPECT_EQ(info.version, 3u);
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.name, "Tiny");
  EXPECT_EQ(info.parameters, 96u);
  EXPECT_EQ(info.context_length, 2048u);
  EXPECT_EQ(info.quantization, "Q4_1");
  EXPECT_EQ(info.tensors, 2u);
  EXPECT_EQ(info.split_count, 1u);
  EXPECT_EQ(info.file_size, file.size());
}

TEST(Gguf, a_file_cut_at_any_byte_is_corrupt_or_no_model) {
  const std::string file = tiny_gguf();
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::string cut(file.data(), size);
    const auto parsed = parse(cut);
    ASSERT_FALSE(parsed.ok()) << size;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt) << size << ": " << parsed.error().message;
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(Gguf, the_beginning_of_a_whole_file_asks_for_more_until_the_header_is_there) {
  const std::string file = tiny_gguf();
  const std::size_t data = file.size() - 192;
  bool done = false;
  for (std::size_t size = 0; size <= file.size(); ++size) {
    const auto parsed = parse_gguf(std::string(file.data(), size), file.size());
    ASSERT_TRUE(parsed.ok()) << size << ": " << parsed.error().message;
    EXPECT_TRUE(parsed->has_value() || !done) << size;
    done = parsed->has_value();
    if (size >= data) EXPECT_TRUE(done) << size;
  }
  EXPECT_TRUE(done);
}

TEST(Gguf, what_is_no_gguf_is_named_as_such) {
  EXPECT_EQ(refusal("PK\x03\x04 something else"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal("GGML1234"), ErrorCode::kInvalidArgument);
  const auto pointer = parse("version https://git-lfs.github.com/spec/v1\noid sha256:12\n");
  ASSERT_FALSE(pointer.ok());
  EXPECT_NE(pointer.error().hint.find("git lfs pull"), std::string::npos);
}

TEST(Gguf, other_versions_and_byte_orders_are_refused) {
  for (const std::uint32_t version : {0u, 1u, 4u, 0x03000000u, 0xffffffffu}) {
    EXPECT_EQ(refusal(GgufBytes().header(0, 0, version).bytes()), ErrorCode::kInvalidArgument) << version;
  }
}

TEST(Gguf, counts_that_cannot_fit_are_refused_before_anything_is_read) {
  EXPECT_EQ(refusal(GgufBytes().header(kHuge, 1).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(GgufBytes().header(1, kHuge).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(GgufBytes().header(1'000'000, 1).bytes(), 1'000'000), ErrorCode::kCorrupt);
}

TEST(Gguf, texts_and_arrays_beyond_the_file_are_refused) {
  EXPECT_EQ(refusal(one_key().number(kHuge).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(one_key().key("general.name", testing::kGgufString).number(kHuge).bytes()), ErrorCode::kCorrupt);
  for (const std::uint32_t type : {testing::kGgufUint8, testing::kGgufUint64, testing::kGgufString}) {
    GgufBytes file = one_key();
    file.key("a", testing::kGgufArray).number<std::uint32_t>(type).number(kHuge);
    EXPECT_EQ(refusal(file.bytes()), ErrorCode::kCorrupt) << type;
  }
  GgufBytes nested = one_key();
  nested.key("a", testing::kGgufArray).number<std::uint32_t>(testing::kGgufArray).number<std::uint64_t>(1);
  EXPECT_EQ(refusal(nested.data(64, '\0').bytes()), ErrorCode::kCorrupt);
}

TEST(Gguf, keys_are_bounded_and_types_known) {
  EXPECT_EQ(refusal(one_key().text("").data(64, '\0').bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(one_key().text(std::string(65'536, 'k')).data(64, '\0').bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(one_key().key("a", 13).data(64, '\0').bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(one_key().key("general.alignment", testing::kGgufString).text("32").data(64).bytes()),
            ErrorCode::kCorrupt);
}

TEST(Gguf, a_bad_alignment_is_refused) {
  for (const std::uint32_t alignment : {0u, 3u, 33u, 1u << 21}) {
    GgufBytes file;
    file.header(1, 2).text_value("general.architecture", "llama").uint32_value("general.alignment", alignment);
    file.tensor("t", 32, 1, 0, 0).data(1024);
    EXPECT_EQ(refusal(file.bytes()), ErrorCode::kCorrupt) << alignment;
  }
}

GgufBytes with_architecture(std::uint64_t tensors) {
  GgufBytes file;
  return file.header(tensors, 1).text_value("general.architecture", "llama");
}

TEST(Gguf, tensors_that_cannot_be_are_refused) {
  EXPECT_EQ(refusal(with_architecture(1).tensor("t", kHuge, 2, 0, 0).data(256).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(with_architecture(1).tensor("t", std::uint64_t{1} << 62, 1, 0, 0).data(256).bytes()),
            ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(with_architecture(1).tensor("t", 33, 1, 3, 0).data(256).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(with_architecture(1).tensor("t", 32, 1, 0, 5).data(256).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(with_architecture(1).tensor("t", 32, 1, 0, kHuge - 31).data(256).bytes()), ErrorCode::kCorrupt);
  EXPECT_EQ(refusal(with_architecture(1).text("t").number<std::uint32_t>(5).data(256, '\0').bytes()),
            ErrorCode::kCorrupt);
}

TEST(Gguf, a_file_shorter_than_its_tensors_names_the_one_that_is_cut) {
  const std::string file = tiny_gguf();
  const auto parsed = parse(file.substr(0, file.size() - 1));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(parsed.error().message.find("output_norm.weight"), std::string::npos) << parsed.error().message;
}

TEST(Gguf, a_tensor_of_an_unknown_type_must_begin_within_the_file) {
  const std::string file = with_architecture(1).tensor("t", 32, 1, 99, 64).pad().data(65).bytes();
  EXPECT_TRUE(parse(file).ok());
  EXPECT_EQ(refusal(file.substr(0, file.size() - 1)), ErrorCode::kCorrupt);
}

TEST(Gguf, a_file_without_tensors_is_no_model) {
  EXPECT_EQ(refusal(with_architecture(0).pad().bytes()), ErrorCode::kInvalidArgument);
}

TEST(Gguf, control_bytes_of_names_are_not_shown) {
  GgufBytes file;
  file.header(1, 2).text_value("general.architecture", "llama").text_value("general.name", "a\x1b[31m\nb");
  const auto parsed = parse(file.tensor("t", 32, 1, 0, 0).pad().data(128).bytes());
  ASSERT_TRUE(parsed.ok() && parsed->has_value());
  EXPECT_EQ((*parsed)->name, "a?[31m?b");
}

TEST(Gguf, without_a_file_type_the_type_of_most_bytes_is_told) {
  GgufBytes file = with_architecture(2);
  file.tensor("a", 256, 4, 12, 0).tensor("b", 32, 1, 0, 576).pad().data(576 + 128);
  const auto parsed = parse(file.bytes());
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ((*parsed)->quantization, "Q4_K");
}

TEST(GgufFile, is_read_from_disk) {
  const testing::TemporaryFolder folder;
  const auto info = read_gguf(folder.write("tiny.gguf", tiny_gguf()));
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info->parameters, 96u);
}

TEST(GgufFile, a_header_larger_than_the_first_piece_is_read_on) {
  GgufBytes file;
  file.header(1, 2).text_value("general.architecture", "llama").text_value("notes", std::string(3u << 20, 'n'));
  file.tensor("t", 32, 1, 0, 0).pad().data(128);
  const testing::TemporaryFolder folder;
  EXPECT_TRUE(read_gguf(folder.write("large.gguf", file.bytes())).ok());
}

TEST(GgufFile, messages_name_the_path) {
  const testing::TemporaryFolder folder;
  const auto broken = read_gguf(folder.write("broken.gguf", tiny_gguf().substr(0, 100)));
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.error().message.find("broken.gguf"), std::string::npos);
  const auto missing = read_gguf(folder.path() / "away.gguf");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("away.gguf"), std::string::npos);
}

TEST(GgufFile, folders_and_pipes_are_refused_without_waiting) {
  const testing::TemporaryFolder folder;
  EXPECT_FALSE(read_gguf(folder.path()).ok());
  const auto pipe = folder.path() / "pipe.gguf";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto refused = read_gguf(pipe);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace spillway::fleet
