// The program's log: short human lines on stderr. What happened to Exchanges is in the access log.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

// "debug", "info", "warn", "error", "off"; nothing for other words.
std::optional<Level> parse_level(std::string_view word);

// Before the first line; otherwise kInfo holds. May be called again at any time, from any thread.
void set_level(Level level);

// One line each; safe from any thread. `message` is told as it is: no secrets, no prompts.
void debug(std::string_view message);
void info(std::string_view message);
void warn(std::string_view message);
void error(std::string_view message);

}  // namespace spillway::log
