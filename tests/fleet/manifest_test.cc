#include "fleet/models/manifest.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

const ModelName kName{"smollm2", "135m"};

Model example() {
  Model model;
  model.name = kName;
  model.digest = std::string(64, 'b');
  model.size = 98'362'432;
  model.license = "Apache-2.0";
  model.source = "somewhere \"quoted\"";
  model.imported_at = "2026-11-23T21:25:00Z";
  model.gguf = {3, "llama", "SmolLM2", 134'515'008, 8192, "Q4_1", 272, 1, 98'362'432};
  return model;
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST(Manifest, reads_back_alike) {
  const Model model = example();
  const auto read = manifest_from_json(manifest_to_json(model), kName);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->name, model.name);
  EXPECT_EQ(read->digest, model.digest);
  EXPECT_EQ(read->size, model.size);
  EXPECT_EQ(read->license, model.license);
  EXPECT_EQ(read->source, model.source);
  EXPECT_EQ(read->imported_at, model.imported_at);
  EXPECT_EQ(read->gguf, model.gguf);
  EXPECT_TRUE(read->path.empty());
  EXPECT_EQ(manifest_to_json(*read), manifest_to_json(model));
}

TEST(Manifest, a_name_that_is_not_utf8_is_written_all_the_same) {
  Model model = example();
  model.gguf.name = "\xff\xfe";
  EXPECT_TRUE(manifest_from_json(manifest_to_json(model), kName).ok());
}

TEST(Manifest, what_is_broken_is_corrupt) {
  const std::string good = manifest_to_json(example());
  const std::vector<std::string> broken{
      "",
      "null",
      "[]",
      "{}",
      good.substr(0, good.size() / 2),
      replaced(good, "\"smollm2\"", "\"other\""),
      replaced(good, "\"format\": \"gguf\"", "\"format\": \"safetensors\""),
      replaced(good, "\"size\": 98362432", "\"size\": -1"),
      replaced(good, "\"size\": 98362432", "\"size\": \"much\""),
      replaced(good, "sha256:bbbb", "sha512:bbbb"),
      replaced(good, "sha256:bbbb", "sha256:../."),
      replaced(good, "\"tensors\": 272", "\"tensors\": null"),
  };
  for (const std::string& text : broken) {
    const auto read = manifest_from_json(text, kName);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error().message.find("smollm2:135m"), std::string::npos);
  }
}

TEST(Manifest, a_file_outside_the_store_is_called_by_its_own_name) {
  Model model;
  model.path = "/models/Some-Model.Q4_K_M.gguf";
  EXPECT_EQ(model.display_name(), "Some-Model.Q4_K_M");
  EXPECT_EQ(example().display_name(), "smollm2:135m");
}

}  // namespace
}  // namespace spillway::fleet
