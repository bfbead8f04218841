#include "fleet/engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "fleet/engine/engines.h"

namespace spillway::fleet {

namespace fs = std::filesystem;

std::span<const Engine* const> engines() {
  static const std::array<const Engine*, 5> kAll{&llama_cpp_engine(), &vllm_engine(), &sglang_engine(),
                                                 &tensorrt_llm_engine(), &ollama_engine()};
  return kAll;
}

const Engine* find_engine(std::string_view name) {
  const auto found = std::ranges::find(engines(), name, &Engine::name);
  return found == engines().end() ? nullptr : *found;
}

std::string Engine::failure_text(std::string_view log_tail) const {
  constexpr std::size_t kMaxLines = 3;
  constexpr std::size_t kMaxBytes = 600;
  std::vector<std::string_view> errors;
  std::vector<std::string_view> lines;
  while (!log_tail.empty()) {
    const std::size_t end = std::min(log_tail.find('\n'), log_tail.size());
    const std::string_view line = trim(log_tail.substr(0, end));
    if (!line.empty()) lines.push_back(line);
    // Python's: the last line of a traceback names the error.
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos && line.substr(0, colon).ends_with("Error")) errors.push_back(line);
    log_tail.remove_prefix(std::min(end + 1, log_tail.size()));
  }
  const std::vector<std::string_view>& told = errors.empty() ? lines : errors;
  std::string out;
  for (std::size_t i = told.size() - std::min(told.size(), errors.empty() ? kMaxLines : 1); i < told.size(); ++i) {
    out += (out.empty() ? "" : "; ") + std::string(told[i]);
  }
  return out.size() > kMaxBytes ? out.substr(0, kMaxBytes) + "…" : out;
}

std::optional<double> metric(std::string_view text, std::string_view name) {
  std::optional<double> sum;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(name)) continue;
    std::string_view rest = line.substr(name.size());
    if (rest.starts_with('{')) {
      // Label values may hold anything but an unescaped quotation mark.
      const std::size_t close = rest.rfind('}');
      if (close == std::string_view::npos) continue;
      rest = rest.substr(close + 1);
    } else if (!rest.starts_with(' ')) {
      continue;  // another, longer name
    }
    const std::string number(trim(rest).substr(0, trim(rest).find(' ')));
    char* stop = nullptr;
    const double value = std::strtod(number.c_str(), &stop);
    if (number.empty() || *stop != '\0' || !(value >= 0) || value > 1e15) continue;
    sum = sum.value_or(0) + value;
  }
  return sum;
}

std::vector<std::string> kept_environment(const std::vector<std::string>& inherited) {
  constexpr std::array<std::string_view, 11> kNames{
      "PATH",    "HOME",       "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
      "HF_HOME", "VIRTUAL_ENV"};
  constexpr std::array<std::string_view, 11> kPrefixes{"LC_",   "GGML_", "CUDA_",   "NVIDIA_", "HIP_", "HSA_",
                                                       "ROCR_", "VK_",   "ONEAPI_", "ZE_",     "NCCL_"};
  std::vector<std::string> out;
  for (const std::string& entry : inherited) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    if (std::ranges::find(kNames, name) != kNames.end() ||
        std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); })) {
      out.push_back(entry);
    }
  }
  return out;
}

Status refuse_arguments(const std::vector<std::string>& engine_args, std::span<const std::string_view> ours) {
  for (const std::string& argument : engine_args) {
    const std::string_view option = std::string_view(argument).substr(0, argument.find('='));
    if (std::ranges::find(ours, option) != ours.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   "engine_args may not hold " + std::string(option) + ": Spillway sets it",
                   "take it out; model, context and parallel are keys of the backend"};
    }
  }
  return {};
}

Result<fs::path> find_on_path(const config::Environment& environment, const std::string& program, std::string mend) {
  const std::string path = environment("PATH").value_or("");
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const fs::path candidate = fs::path(rest.substr(0, end)) / program;
    std::error_code ec;
    if (candidate.is_absolute() && fs::is_regular_file(candidate, ec) && ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return Error{ErrorCode::kNotFound, "no " + program + " in PATH", std::move(mend)};
}

}  // namespace spillway::fleet
