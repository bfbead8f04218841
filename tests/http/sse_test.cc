#include "http/sse.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spillway::http {
namespace {

struct Event {
  std::string type;
  std::string data;
  bool has_data = false;
  bool operator==(const Event&) const = default;
};

// Feeds `text` in pieces that end at `ends`, as a connection would, and returns all events.
std::vector<Event> read(std::string_view text, const std::vector<std::size_t>& ends) {
  SseScanner scanner;
  std::string scratch;
  std::vector<Event> events;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    while (const std::size_t length = scanner.next(text.substr(begin, end - begin))) {
      std::string_view event_text = text.substr(begin, length);
      if (begin == 0) event_text = without_byte_order_mark(event_text);
      const SseEvent event = parse_sse_event(event_text, scratch);
      events.push_back({std::string(event.type), std::string(event.data), event.has_data});
      begin += length;
    }
  }
  return events;
}

std::vector<Event> with_data(std::vector<Event> events) {
  std::erase_if(events, [](const Event& event) { return !event.has_data; });
  return events;
}

std::vector<Event> read(std::string_view text) { return read(text, {text.size()}); }

Event data(std::string text, std::string type = "") { return {std::move(type), std::move(text), true}; }

TEST(Sse, lines_may_end_in_lf_cr_or_crlf_and_be_mixed) {
  for (const std::string text :
       {"data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n",
        "data: a\n\r\ndata: b\r\n\n", "data: a\r\n\rdata: b\n\r", "data: a\r\n\ndata: b\r\r\n"}) {
    EXPECT_EQ(with_data(read(text)), (std::vector<Event>{data("a"), data("b")})) << text;
  }
}

TEST(Sse, a_cr_between_two_lines_does_not_end_the_event) {
  EXPECT_EQ(read("data: a\rdata: b\r\r"), (std::vector<Event>{data("a\nb")}));
  EXPECT_EQ(read("data: a\r\ndata: b\r\n\r\n"), (std::vector<Event>{data("a\nb")}));
}

TEST(Sse, a_split_at_any_byte_gives_the_same_events) {
  for (const std::string text : {"data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r",
                                 "event: x\r\ndata: 1\r\ndata: 2\r\n\r\n: c\r\n\r\n",
                                 "\xEF\xBB\xBF"
                                 "data: a\n\n\n\ndata: b\n\r\n\rdata: c\r\n\r\n"}) {
    const auto whole = with_data(read(text));
    ASSERT_FALSE(whole.empty());
    for (std::size_t at = 0; at <= text.size(); ++at)
      EXPECT_EQ(with_data(read(text, {at, text.size()})), whole) << text << at;
    std::vector<std::size_t> ends;
    for (std::size_t at = 1; at <= text.size(); ++at) ends.push_back(at);
    EXPECT_EQ(with_data(read(text, ends)), whole) << text;
  }
}

TEST(Sse, an_empty_line_in_cr_ends_the_event_before_the_next_byte_is_there) {
  EXPECT_EQ(read("data: a\r\n\r").size(), 1u);
  EXPECT_EQ(read("data: a\r\r").size(), 1u);
}

TEST(Sse, the_lf_of_a_crlf_that_was_split_is_no_event_of_its_own) {
  const std::string text = "data: a\r\n\r\ndata: b\r\n\r\n";
  EXPECT_EQ(read(text, {10, 11, text.size()}).size(), 2u);
}

TEST(Sse, an_event_that_is_not_whole_is_not_told) {
  EXPECT_TRUE(read("data: a").empty());
  EXPECT_TRUE(read("data: a\n").empty());
  EXPECT_TRUE(read("data: a\r").empty());
  EXPECT_TRUE(read("").empty());
}

TEST(Sse, several_data_lines_are_joined_by_lf) {
  EXPECT_EQ(read("data: a\ndata:\ndata: b\n\n"), (std::vector<Event>{data("a\n\nb")}));
  EXPECT_EQ(read("data: {\ndata: \"a\": 1\ndata: }\n\n"), (std::vector<Event>{data("{\n\"a\": 1\n}")}));
}

TEST(Sse, one_space_behind_the_colon_is_left_out_and_no_more) {
  EXPECT_EQ(read("data:a\n\n"), (std::vector<Event>{data("a")}));
  EXPECT_EQ(read("data:  a \n\n"), (std::vector<Event>{data(" a ")}));
  EXPECT_EQ(read("data:\ta\n\n"), (std::vector<Event>{data("\ta")}));
}

TEST(Sse, comments_and_other_fields_are_skipped) {
  EXPECT_EQ(read(": comment\nid: 7\nretry: 10\nwhatever\nevent: x\ndata: a\n:\n\n"),
            (std::vector<Event>{data("a", "x")}));
  EXPECT_EQ(read(": keep-alive\n\n"), (std::vector<Event>{Event{}}));
  EXPECT_EQ(read("data\n\n"), (std::vector<Event>{data("")}));
  EXPECT_EQ(read("datax: a\nDATA: b\n data: c\n\n"), (std::vector<Event>{Event{}}));
}

TEST(Sse, a_byte_order_mark_before_the_first_field_is_skipped) {
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "data: a\n\n"),
            (std::vector<Event>{data("a")}));
}

TEST(Sse, a_byte_order_mark_within_a_stream_is_part_of_a_name) {
  const std::string text =
      "data: a\r\n\r\n\xEF\xBB\xBF"
      "data: b\r\n\r\n";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    EXPECT_EQ(with_data(read(text, {at, text.size()})), (std::vector<Event>{data("a")})) << at;
  }
}

TEST(Sse, an_event_of_a_mebibyte_is_found_however_it_comes) {
  const std::string big(1 << 20, 'x');
  const std::string text = "data: " + big + "\n\ndata: [DONE]\n\n";
  std::vector<std::size_t> ends;
  for (std::size_t at = 1000; at < text.size(); at += 1000) ends.push_back(at);
  ends.push_back(text.size());
  EXPECT_EQ(read(text, ends), (std::vector<Event>{data(big), data("[DONE]")}));
}

TEST(Sse, joined_data_has_readable_bytes_behind_it) {
  std::string scratch;
  const SseEvent event = parse_sse_event("data: a\ndata: b\n\n", scratch);
  EXPECT_EQ(event.data, "a\nb");
  EXPECT_GE(scratch.capacity(), scratch.size() + 64);
}

TEST(Sse, random_texts_give_the_same_events_however_they_are_split) {
  std::mt19937 random(7);
  const std::string alphabet[] = {"\r", "\n", "\r\n", "data: x", "data:y", ":", "event: e", " ", "\n\n", "\r\n\r\n"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += alphabet[random() % std::size(alphabet)];
    text += "\n\ndata: end\n\n";
    std::vector<std::size_t> ends;
    for (std::size_t at = 1; at < text.size(); ++at) {
      if (random() % 3 == 0) ends.push_back(at);
    }
    ends.push_back(text.size());
    ASSERT_EQ(with_data(read(text, ends)), with_data(read(text))) << ::testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace spillway::http
