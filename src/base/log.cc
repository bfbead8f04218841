#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace spillway::log {

namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("spillway", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%H:%M:%S.%e %^%-5l%$ %v");
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

}  // namespace

std::optional<Level> parse_level(std::string_view word) {
  if (word == "debug") return Level::kDebug;
  if (word == "info") return Level::kInfo;
  if (word == "warn") return Level::kWarn;
  if (word == "error") return Level::kError;
  if (word == "off") return Level::kOff;
  return std::nullopt;
}

void set_level(Level level) {
  switch (level) {
    case Level::kDebug: logger().set_level(spdlog::level::debug); break;
    case Level::kInfo: logger().set_level(spdlog::level::info); break;
    case Level::kWarn: logger().set_level(spdlog::level::warn); break;
    case Level::kError: logger().set_level(spdlog::level::err); break;
    case Level::kOff: logger().set_level(spdlog::level::off); break;
  }
}

void debug(std::string_view message) { logger().debug("{}", message); }
void info(std::string_view message) { logger().info("{}", message); }
void warn(std::string_view message) { logger().warn("{}", message); }
void error(std::string_view message) { logger().error("{}", message); }

}  // namespace spillway::log
