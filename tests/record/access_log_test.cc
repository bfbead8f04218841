#include "record/access_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "http/loopback.h"

namespace spillway::record {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::chrono::system_clock::time_point at_ms(long long ms) {
  return std::chrono::system_clock::time_point(milliseconds(ms));
}

ExchangeLine example() {
  ExchangeLine line;
  line.request_id = "req_1";
  line.client = "127.0.0.1";
  line.method = "POST";
  line.path = "/v1/chat/completions";
  line.route = "*";
  line.model = "m";
  line.status = 200;
  line.total_ms = 12.3456;
  line.bytes_in = 10;
  line.bytes_out = 20;
  return line;
}

std::vector<json> lines_of(const fs::path& file) {
  std::vector<json> lines;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

class AccessLogFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "spillway-log-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = folder_ / "access.jsonl";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::unique_ptr<AccessLog> open(std::uint64_t max_size = 64u << 20, int files = 4) {
    auto log = AccessLog::open({file_.string(), max_size, files});
    EXPECT_TRUE(log.ok());
    return std::move(log).value();
  }

  fs::path folder_;
  fs::path file_;
  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
};

TEST(AccessLine, is_one_line_of_json_with_everything_that_is_known) {
  ExchangeLine line = example();
  line.stream = true;
  line.events = 7;
  line.backend = "local";
  line.first_token_ms = 3.5;
  line.attempts.push_back({"cloud", "overload", 503, 0, 1.25, -1, 4});
  line.attempts.push_back({"local", "answered", 200, 0, -1, 3.5, 8});
  std::string out;
  append_line(out, line, at_ms(1'700'000'000'042));
  ASSERT_TRUE(out.ends_with("}\n"));
  EXPECT_EQ(out.find('\n'), out.size() - 1);
  const json read = json::parse(out);
  EXPECT_EQ(read["time"], "2023-11-14T22:13:20.042Z");
  EXPECT_EQ(read["stream"], true);
  EXPECT_EQ(read["events"], 7);
  EXPECT_EQ(read["total_ms"], 12.346);
  EXPECT_EQ(read["attempts"],
            json::parse(R"([{"backend":"cloud","class":"overload","status":503,"connect_ms":1.25,"total_ms":4},
                                             {"backend":"local","class":"answered","status":200,"first_token_ms":3.5,"total_ms":8}])"));
  EXPECT_FALSE(read.contains("error"));
}

TEST(AccessLine, hostile_strings_stay_within_their_field) {
  const std::string hostile("\"},\n{\"\\\r\0\x01\x7f\xff\xed\xa0\x80", 15);
  ExchangeLine line = example();
  line.request_id = line.client = line.method = line.path = line.route = line.model = line.backend = line.error =
      hostile;
  line.attempts.push_back({hostile, hostile, 0, 0, 0, 0, 0});
  std::string out;
  append_line(out, line, at_ms(0));
  EXPECT_EQ(out.find('\n'), out.size() - 1);
  EXPECT_EQ(json::parse(out)["attempts"].size(), 1u);
}

TEST(AccessLine, times_follow_the_clock_over_seconds) {
  std::string out;
  append_line(out, example(), at_ms(999));
  append_line(out, example(), at_ms(1000));
  append_line(out, example(), at_ms(1'000));
  std::istringstream lines(out);
  std::vector<std::string> times;
  for (std::string line; std::getline(lines, line);) times.push_back(json::parse(line)["time"]);
  EXPECT_EQ(times, (std::vector<std::string>{"1970-01-01T00:00:00.999Z", "1970-01-01T00:00:01.000Z",
                                             "1970-01-01T00:00:01.000Z"}));
}

TEST_F(AccessLogFile, what_is_left_is_written_on_destruction) {
  {
    const auto log = open();
    AccessLogBuffer buffer(timers_, *log);
    for (int i = 0; i < 100; ++i) buffer.write(example());
  }
  EXPECT_EQ(lines_of(file_).size(), 100u);
}

TEST_F(AccessLogFile, lines_are_handed_over_in_time_without_being_asked) {
  const auto log = open();
  AccessLogBuffer buffer(timers_, *log);
  buffer.write(example());
  EXPECT_TRUE(spillway::testing::run_until(loop_, [&] { return fs::file_size(file_) > 0; }));
}

TEST_F(AccessLogFile, lines_of_several_threads_are_never_mixed) {
  {
    const auto log = open();
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&log] {
        asio::io_context loop(1);
        LoopTimers timers(loop);
        AccessLogBuffer buffer(timers, *log);
        for (int n = 0; n < 2000; ++n) buffer.write(example());
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(lines_of(file_).size(), 6000u);
}

TEST_F(AccessLogFile, a_full_file_is_rotated_between_lines_and_old_ones_are_dropped) {
  {
    const auto log = open(/*max_size=*/20'000, /*files=*/2);
    for (int i = 0; i < 1000; ++i) {
      std::string lines;
      append_line(lines, example(), at_ms(i));
      log->hand_over(lines);
      EXPECT_TRUE(lines.empty());
    }
  }
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    ++files;
    EXPECT_FALSE(lines_of(entry.path()).empty()) << entry.path();
  }
  EXPECT_EQ(files, 3u);
}

TEST_F(AccessLogFile, an_existing_file_is_gone_on_with) {
  for (int i = 0; i < 2; ++i) {
    const auto log = open();
    std::string lines;
    append_line(lines, example(), at_ms(i));
    log->hand_over(lines);
  }
  EXPECT_EQ(lines_of(file_).size(), 2u);
}

TEST_F(AccessLogFile, a_full_disk_drops_lines_counts_them_and_holds_nobody_up) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto opened = AccessLog::open({"/dev/full", 64u << 20, 4});
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const auto log = std::move(opened).value();
  std::string lines;
  append_line(lines, example(), at_ms(0));
  const std::size_t size = lines.size();
  log->hand_over(lines);
  const TimePoint patience = now() + seconds(30);
  while (log->dropped_bytes() == 0 && now() < patience) std::this_thread::yield();
  EXPECT_EQ(log->dropped_bytes(), size);
}

TEST_F(AccessLogFile, lines_that_wait_for_the_disk_are_bounded) {
  const auto log = open();
  std::string lines(AccessLog::kMaxPending + 1, 'x');
  log->hand_over(lines);
  EXPECT_TRUE(lines.empty());
  EXPECT_EQ(log->dropped_bytes(), AccessLog::kMaxPending + 1);
}

TEST_F(AccessLogFile, a_place_that_cannot_be_written_to_is_refused_with_a_mend) {
  const auto log = AccessLog::open({folder_.string(), 1u << 20, 4});
  ASSERT_FALSE(log.ok());
  EXPECT_NE(log.error().message.find(folder_.string()), std::string::npos) << log.error().message;
  EXPECT_FALSE(log.error().hint.empty());
}

TEST_F(AccessLogFile, one_that_is_off_writes_nothing) {
  auto opened = AccessLog::open({});
  ASSERT_TRUE(opened.ok());
  EXPECT_FALSE((*opened)->enabled());
  AccessLogBuffer buffer(timers_, **opened);
  buffer.write(example());
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace spillway::record
