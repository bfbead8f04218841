// Events of a stream that lie in memory whole.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace spillway::api {

// Calls `f` with the data of each event of `events`, which are whole server-sent events; its lines are joined.
template <typename F>
void for_each_data(std::string_view events, const F& f) {
  std::string data;
  while (!events.empty()) {
    // Events end with an empty line, in any of the three forms.
    std::size_t end = events.size();
    for (const std::string_view mark : {"\n\n", "\n\r\n", "\r\r"}) {
      if (const std::size_t at = events.find(mark); at != std::string_view::npos) end = std::min(end, at + mark.size());
    }
    data.clear();
    for (std::string_view rest = events.substr(0, end); !rest.empty();) {
      const std::size_t line_end = std::min(rest.find_first_of("\r\n"), rest.size());
      std::string_view line = rest.substr(0, line_end);
      rest.remove_prefix(std::min(line_end + 1, rest.size()));
      if (!line.starts_with("data:")) continue;
      line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
      data.append(data.empty() ? "" : "\n").append(line);
    }
    f(data);
    events.remove_prefix(end);
  }
}

}  // namespace spillway::api
