// The events of a stream, in either framing.
#pragma once

#include <string>
#include <string_view>

#include "api/format.h"
#include "http/sse.h"

namespace spillway::attempt {

// Finds where the events of a growing text end: with an empty line (SSE), with their line (NDJSON), or with all of it.
class EventScanner {
 public:
  explicit EventScanner(api::Framing framing) : framing_(framing) {}

  // As http::SseScanner::next().
  std::size_t next(std::string_view text) {
    if (framing_ == api::Framing::kSse) return sse_.next(text);
    if (framing_ == api::Framing::kWhole) return text.size();
    const std::size_t end = text.find('\n', scanned_);
    scanned_ = end == std::string_view::npos ? text.size() : 0;
    return end == std::string_view::npos ? 0 : end + 1;
  }

  // As http::parse_sse_event(). A line of NDJSON is all data; an empty one has none.
  [[nodiscard]] http::SseEvent parse(std::string_view event, std::string& scratch) const {
    if (framing_ == api::Framing::kSse) return http::parse_sse_event(event, scratch);
    while (!event.empty() && std::string_view(" \t\r\n").find(event.back()) != std::string_view::npos)
      event.remove_suffix(1);
    return {{}, event, !event.empty()};
  }

  // An event with the end that it lacks.
  [[nodiscard]] std::string whole(const http::SseEvent& event) const {
    std::string out;
    if (framing_ == api::Framing::kSse) {
      if (!event.type.empty()) out.append("event: ").append(event.type).append("\n");
      return out.append("data: ").append(event.data).append("\n\n");
    }
    return out.append(event.data).append("\n");
  }

 private:
  api::Framing framing_;
  http::SseScanner sse_;
  std::size_t scanned_ = 0;  // of a line of NDJSON: up to here it has no end
};

// Calls `f` with each event of `events`, which are whole, and have data.
template <typename F>
void for_each_event(api::Framing framing, std::string_view events, std::string& scratch, const F& f) {
  EventScanner scanner(framing);
  while (const std::size_t length = scanner.next(events)) {
    const http::SseEvent event = scanner.parse(events.substr(0, length), scratch);
    events.remove_prefix(length);
    if (event.has_data) f(event);
  }
}

}  // namespace spillway::attempt
