#include "fleet/memory_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

constexpr std::uint64_t kMaxFile = 4u << 20;
constexpr std::size_t kMaxModels = 1'000;  // the book does not grow without end
constexpr std::size_t kMaxRuns = 32;       // of one model

std::string key_of(const RunShape& shape) {
  return fmt::format("{}x{}x{}x{}x{}{}", shape.context, shape.slots, shape.batch, shape.key_type, shape.value_type,
                     shape.unified ? "u" : "");
}

// The reverse; nothing for a key that this version does not write.
std::optional<RunShape> shape_of(const std::string& key) {
  RunShape out;
  unsigned long long context = 0;
  unsigned long long slots = 0;
  unsigned long long batch = 0;
  if (std::sscanf(key.c_str(), "%llux%llux%llux%ux%u", &context, &slots, &batch, &out.key_type, &out.value_type) != 5)
    return std::nullopt;
  out.context = context;
  out.slots = slots;
  out.batch = batch;
  out.unified = key.ends_with('u');
  return out;
}

std::optional<std::uint64_t> bytes_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

// `estimate`, off by what another one was.
std::uint64_t corrected(std::uint64_t estimate, std::uint64_t was, std::uint64_t was_estimated) {
  if (was >= was_estimated) return estimate + (was - was_estimated);
  return estimate - std::min(estimate, was_estimated - was);
}

}  // namespace

std::map<std::string, MemoryBook::Runs> MemoryBook::read() const {
  std::map<std::string, Runs> out;
  const Result<std::string> text = read_file(file_, kMaxFile);
  if (!text) return out;
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return out;
  for (const auto& [digest, runs] : json.items()) {
    if (!runs.is_object()) continue;
    for (const auto& [shape, memory] : runs.items()) {
      if (!memory.is_object()) continue;
      const auto weights = bytes_member(memory, "weights");
      const auto cache = bytes_member(memory, "cache");
      const auto compute = bytes_member(memory, "compute");
      if (weights && cache && compute) out[digest][shape] = {*weights, *cache, *compute};
    }
  }
  return out;
}

MemoryBook::Expected MemoryBook::expect(const std::string& digest, const GgufDetails& model,
                                        const RunShape& shape) const {
  Expected out{estimate_memory(model, shape), false};
  if (digest.empty()) return out;
  const MutexLock lock(mutex_);
  const std::map<std::string, Runs> all = read();
  const auto runs = all.find(digest);
  if (runs == all.end() || runs->second.empty()) return out;
  if (const auto same = runs->second.find(key_of(shape)); same != runs->second.end()) return {same->second, true};
  const auto& [key, was] = *runs->second.begin();
  const std::optional<RunShape> other = shape_of(key);
  if (!other) return out;
  const MemoryUse estimated = estimate_memory(model, *other);
  out.memory.weights = corrected(out.memory.weights, was.weights, estimated.weights);
  out.memory.compute = corrected(out.memory.compute, was.compute, estimated.compute);
  return out;
}

Status MemoryBook::note(const std::string& digest, const RunShape& shape, const MemoryUse& memory) {
  if (digest.empty()) return {};
  const MutexLock lock(mutex_);
  std::map<std::string, Runs> all = read();
  if (all.size() >= kMaxModels && !all.contains(digest)) all.erase(all.begin());
  Runs& runs = all[digest];
  const std::string key = key_of(shape);
  const auto known = runs.find(key);
  if (known != runs.end() && known->second == memory) return {};
  if (runs.size() >= kMaxRuns && known == runs.end()) runs.erase(runs.begin());
  runs[key] = memory;
  Json json = Json::object();
  for (const auto& [name, each] : all) {
    for (const auto& [run, use] : each)
      json[name][run] = {{"weights", use.weights}, {"cache", use.cache}, {"compute", use.compute}};
  }
  return write_file_atomically(file_, json.dump(1) + "\n");
}

}  // namespace spillway::fleet
