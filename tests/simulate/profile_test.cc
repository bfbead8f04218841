#include "simulate/profile.h"

#include <gmock/gmock.h>

namespace spillway::simulate {
namespace {

using ::testing::HasSubstr;

TEST(Profile, an_empty_one_is_a_good_provider) {
  const LoadedProfile loaded = load_profile_text("", "p.toml");
  ASSERT_TRUE(loaded.profile);
  EXPECT_EQ(loaded.profile->first_token, milliseconds(200));
  EXPECT_EQ(loaded.profile->resume.size(), 5u);
  EXPECT_TRUE(loaded.profile->faults.empty());
}

TEST(Profile, every_key_is_read) {
  const LoadedProfile loaded = load_profile_text(R"(
model = "m"
seed = 7
text = "a\nb"
tokens = 5
reasoning_tokens = 6
tool_calls = 2
first_token = "1s"
latency_spread = 0.5
tokens_per_second = 0
api_key = "k"
resume = []
script = ["ok", "busy", "503", "reset"]
[[fault]]
name = "busy"
kind = "429"
probability = 0.25
bursty = true
at = 0.5
retry_after = "2s"
message = "slow down"
code = "slow_down"
[day]
length = "24m"
starts_at = "09:30"
peak_from = "10:00"
peak_to = "24:00"
latency = 2
error_rate = 0.5
bursty = true
kind = "stall"
)",
                                                 "p.toml");
  ASSERT_TRUE(loaded.profile) << loaded.problems.at(0).to_string();
  const Profile& profile = *loaded.profile;
  EXPECT_EQ(profile.text, "a\nb");
  EXPECT_EQ(profile.tool_calls, 2);
  EXPECT_TRUE(profile.resume.empty());
  EXPECT_EQ(profile.script.size(), 4u);
  ASSERT_EQ(profile.faults.size(), 1u);
  EXPECT_EQ(profile.faults[0].retry_after, milliseconds(2'000));
  EXPECT_EQ(profile.faults[0].at, 0.5);
  EXPECT_EQ(profile.day.starts_at, 570);
  EXPECT_EQ(profile.day.peak_to, 1440);
  EXPECT_EQ(profile.day.kind, "stall");
}

TEST(Profile, what_makes_no_sense_is_told_with_its_place_and_the_mend) {
  struct Row {
    const char* toml;
    const char* place;
    const char* message;
    const char* mend;
  };
  const Row table[] = {
      {"tokns = 5", ":1:1", "`tokns` is not a key", "`tokens`"},
      {"tokens = 0", ":1:10", "from 1 to 100000", ""},
      {"first_token = 3", ":1:15", "a duration in quotes", "ms"},
      {"resume = [\"prefx\"]", ":1:11", "none of prefix", ""},
      {"script = [\"ok\", \"rest\"]", ":1:17", "\"rest\" is no fault", "\"reset\""},
      {"script = [\"700\"]", ":1:11", "\"700\" is no fault", "--faults"},
      {"[[fault]]\nprobability = 0.1", ":1:", "needs a kind", "503"},
      {"[[fault]]\nkind = \"stal\"", ":2:8", "is no fault", "\"stall\""},
      {"[[fault]]\nkind = \"503\"\nprobability = 18.7", ":3:15", "is a share", "0.187"},
      {"[fault]\nkind = \"503\"", ":1:", "list of tables", "two brackets"},
      {"[[fault]]\nkind = \"503\"\nprobability = 0.6\n[[fault]]\nkind = \"500\"\nprobability = 0.6",
       ":1:", "add up to 1.2", "together"},
      {"[day]\npeak_from = \"10:00\"", ":1:", "needs a length", "24m"},
      {"[day]\nlength = \"24m\"\npeak_from = \"13:00\"", ":1:", "has to end after it begins", "12:00"},
      {"[day]\nlength = \"24m\"\nstarts_at = \"25:00\"", ":3:13", "is no time of day", "10:00"},
      {"a = [", ":1:", "", ""},
  };
  for (const Row& row : table) {
    const LoadedProfile loaded = load_profile_text(row.toml, "p.toml");
    EXPECT_FALSE(loaded.profile) << row.toml;
    ASSERT_FALSE(loaded.problems.empty()) << row.toml;
    const std::string told = loaded.problems[0].to_string();
    EXPECT_THAT(told, HasSubstr("p.toml" + std::string(row.place)));
    EXPECT_THAT(told, HasSubstr(row.message));
    EXPECT_THAT(told, HasSubstr(row.mend));
  }
}

TEST(Profile, a_file_that_is_not_there_is_told) {
  const LoadedProfile loaded = load_profile("/nowhere/p.toml");
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_THAT(loaded.problems[0].to_string(), HasSubstr("/nowhere/p.toml"));
}

}  // namespace
}  // namespace spillway::simulate
