#include "http/sse.h"

#include <algorithm>
#include <cstring>

namespace spillway::http {

namespace {

constexpr std::size_t kNone = std::string_view::npos;

// Offset of the first CR or LF at or after `from`; kNone where there is none. In steps: were LF looked for in all of a
// text whose lines end in CR, each line would cost as much as the text.
std::size_t find_line_end(std::string_view text, std::size_t from) {
  constexpr std::size_t kStep = 512;  // bytes: most lines are shorter
  for (; from < text.size(); from += kStep) {
    const char* const begin = text.data() + from;
    std::size_t until = std::min(kStep, text.size() - from);
    const void* const lf = std::memchr(begin, '\n', until);
    if (lf != nullptr) until = static_cast<std::size_t>(static_cast<const char*>(lf) - begin);
    const void* const cr = std::memchr(begin, '\r', until);
    if (cr != nullptr) return from + static_cast<std::size_t>(static_cast<const char*>(cr) - begin);
    if (lf != nullptr) return from + until;
  }
  return kNone;
}

}  // namespace

std::size_t SseScanner::next(std::string_view text) {
  if (after_cr_ && !text.empty()) {
    after_cr_ = false;
    if (text.front() == '\n') line_ = scanned_ = 1;
  }
  while (scanned_ < text.size()) {
    const std::size_t end = find_line_end(text, scanned_);
    if (end == kNone) {
      scanned_ = text.size();
      return 0;
    }
    std::size_t next_line = end + 1;
    if (text[end] == '\r') {
      if (next_line == text.size()) {
        // CR alone, or the first half of CRLF? An empty line ends the event either way; for any
        // other line it is settled when the next byte is here.
        if (end != line_) {
          scanned_ = end;
          return 0;
        }
        after_cr_ = true;
      } else if (text[next_line] == '\n') {
        ++next_line;
      }
    }
    if (end == line_) {
      line_ = scanned_ = 0;
      return next_line;
    }
    line_ = scanned_ = next_line;
  }
  return 0;
}

SseEvent parse_sse_event(std::string_view text, std::string& scratch) {
  SseEvent event;
  bool joined = false;
  while (!text.empty()) {
    const std::size_t end = find_line_end(text, 0);
    const std::string_view line = text.substr(0, end);
    if (end == kNone) {
      text = {};
    } else {
      text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
    }
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == kNone ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "event") {
      event.type = value;
    } else if (name == "data") {
      if (!event.has_data) {
        event.data = value;
        event.has_data = true;
        continue;
      }
      if (!joined) {
        scratch.assign(event.data);
        joined = true;
      }
      scratch.push_back('\n');
      scratch.append(value);
    }
  }
  if (joined) {
    // simdjson reads past the end of what it parses.
    scratch.reserve(scratch.size() + 64);
    event.data = scratch;
  }
  return event;
}

}  // namespace spillway::http
