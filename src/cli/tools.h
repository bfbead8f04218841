// Tools of other makers, and how each is pointed at a gateway without touching its files.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cli {

struct ToolSetting {
  std::string name;  // of an environment variable
  std::string value;
};

// How a tool is started.
struct ToolStart {
  std::string program;
  std::vector<ToolSetting> environment;
  std::vector<std::string> arguments;  // before the user's own
};

struct ToolEntry {
  std::string_view name;
  std::string_view what;
};
std::span<const ToolEntry> tools();

// `gateway`: "http://127.0.0.1:8080". `model`: to ask for; empty: the tool's own choice. Nothing: there is no such
// tool.
std::optional<ToolStart> start_of(std::string_view tool, const std::string& gateway, const std::string& model);

}  // namespace spillway::cli
