#include "fleet/launcher/docker/container.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet::docker {

using Json = nlohmann::json;

namespace {

constexpr int kMostProcesses = 4'096;  // threads count; vLLM and its compilers take some hundred
constexpr std::uint64_t kSharedMemory = std::uint64_t{8} << 30;  // what NCCL and torch workers want at most
constexpr const char* kLogSize = "16m";
constexpr const char* kLogFiles = "2";

std::string sha256(const std::string& text) {
  Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.finish();
}

std::string plain_name(const std::string& name) {
  std::string out = name;
  for (char& c : out) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!plain) c = '.';
  }
  return out;
}

std::string temporary_options(const ContainerSpec& spec) {
  return spec.compiles ? "rw,nosuid,nodev,exec" : "rw,nosuid,nodev,noexec";
}

Json host_config(const ContainerSpec& spec) {
  Json mounts = Json::array();
  for (const std::string& path : spec.read_only)
    mounts.push_back({{"Type", "bind"}, {"Source", path}, {"Target", path}, {"ReadOnly", true}});
  Json out{
      {"NetworkMode", "host"},
      {"ReadonlyRootfs", true},
      {"CapDrop", Json::array({"ALL"})},
      {"SecurityOpt", Json::array({"no-new-privileges"})},
      {"PidsLimit", kMostProcesses},
      {"Mounts", mounts},
      {"Tmpfs", {{"/tmp", temporary_options(spec)}}},
      {"RestartPolicy", {{"Name", "no"}}},
      {"LogConfig", {{"Type", "json-file"}, {"Config", {{"max-size", kLogSize}, {"max-file", kLogFiles}}}}},
  };
  if (spec.cpus > 0) out["NanoCpus"] = std::llround(spec.cpus * 1e9);
  if (spec.memory > 0) out["Memory"] = out["MemorySwap"] = spec.memory;
  if (spec.compiles) out["ShmSize"] = kSharedMemory;
  if (!spec.gpus.empty()) {
    Json request{{"Driver", ""}, {"Capabilities", Json::array({Json::array({"gpu"})})}};
    if (spec.gpus.front() == "all") {
      request["Count"] = -1;
    } else {
      request["DeviceIDs"] = spec.gpus;
    }
    out["DeviceRequests"] = Json::array({request});
  }
  return out;
}

// With `$` escaped as `escaped`, but where it stands for the key.
std::string without_variables(std::string_view text, std::string_view escaped) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && !text.substr(i).starts_with(kKeyReference)) {
      out += escaped;
    } else {
      out += text[i];
    }
  }
  return out;
}

// A word for a shell, in which the key's variable alone means something.
std::string shell_word(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_./:=,@+") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '`') out += '\\';
    out += c;
  }
  return without_variables(out, "\\$") + "\"";
}

// A text in a compose file, in which `$` begins a variable.
std::string compose_text(std::string_view text) {
  std::string out;
  json::append_string(out, without_variables(text, "$$"));
  return out;
}

}  // namespace

std::string owner_of(const std::filesystem::path& data) {
  std::error_code ec;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(data, ec);
  return sha256((ec ? data : whole).string()).substr(0, 16);
}

ContainerSpec make_container(const ReplicaPlan& plan, const std::string& image, const std::string& digest,
                             const std::string& owner, const Access& access) {
  ContainerSpec out;
  out.program = plan.program.string();
  if (std::error_code ec; plan.model.path.is_absolute() && std::filesystem::exists(plan.model.path, ec)) {
    out.read_only.push_back(plan.model.path.string());
  }
  out.gpus = plan.backend.gpus;
  out.cpus = plan.backend.cpus;
  out.memory = plan.backend.replica_bound();
  out.compiles = plan.engine->capabilities().needs_gpu;
  out.user = fmt::format("{}:{}", ::geteuid(), ::getegid());
  const auto fill = [&](const Access& with) {
    const EngineStart start{plan.backend, plan.model, with.port, with.key, plan.threads};
    out.arguments = plan.engine->arguments(start);
    out.environment = plan.engine->environment({}, start);
    out.environment.emplace_back("HOME=/tmp");  // all else is read-only
    out.environment.push_back(std::string(kKeyVariable) + "=" + with.key);
  };
  fill({});
  out.image = digest;
  out.run = sha256(create_body(out));
  fill(access);
  out.image = image;
  out.name = fmt::format("spillway-{}-{}-{}", owner.substr(0, 6), plain_name(plan.backend.name), out.run.substr(0, 8));
  out.labels = {{kOwnerLabel, owner},
                {kBackendLabel, plan.backend.name},
                {kRunLabel, out.run},
                {kPortLabel, std::to_string(access.port)}};
  return out;
}

std::string create_body(const ContainerSpec& spec) {
  const Json body{
      {"Image", spec.image},   {"Entrypoint", Json::array({spec.program})},
      {"Cmd", spec.arguments}, {"Env", spec.environment},
      {"User", spec.user},     {"Labels", spec.labels},
      {"Tty", false},          {"HostConfig", host_config(spec)},
  };
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string run_command(const ContainerSpec& spec) {
  std::vector<std::string> lines{"docker run --detach --name " + shell_word(spec.name)};
  lines.emplace_back("--network host --read-only --cap-drop ALL --security-opt no-new-privileges");
  lines.push_back(fmt::format("--pids-limit {} --tmpfs /tmp:{}", kMostProcesses, temporary_options(spec)));
  lines.push_back(
      fmt::format("--log-driver json-file --log-opt max-size={} --log-opt max-file={}", kLogSize, kLogFiles));
  lines.push_back("--restart on-failure --user " + spec.user);
  if (spec.cpus > 0) lines.push_back(fmt::format("--cpus {}", spec.cpus));
  if (spec.memory > 0) lines.push_back(fmt::format("--memory {0} --memory-swap {0}", spec.memory));
  if (spec.compiles) lines.push_back(fmt::format("--shm-size {}", kSharedMemory));
  if (!spec.gpus.empty()) {
    lines.push_back(spec.gpus.front() == "all" ? "--gpus all"
                                               : fmt::format("--gpus '\"device={}\"'", fmt::join(spec.gpus, ",")));
  }
  for (const std::string& path : spec.read_only)
    lines.push_back("--mount " + shell_word("type=bind,source=" + path + ",target=" + path + ",readonly"));
  for (const auto& [name, value] : spec.labels) lines.push_back("--label " + shell_word(name + "=" + value));
  for (const std::string& entry : spec.environment) lines.push_back("--env " + shell_word(entry));
  lines.push_back("--entrypoint " + shell_word(spec.program));
  std::string last = shell_word(spec.image);
  for (const std::string& argument : spec.arguments) last += " " + shell_word(argument);
  lines.push_back(last);
  return fmt::format("{}\n", fmt::join(lines, " \\\n  "));
}

// Texts as JSON strings, which YAML takes.
std::string compose_file(std::span<const ContainerSpec> specs) {
  std::string out = "services:\n";
  const auto list = [&out](const char* key, const std::vector<std::string>& items) {
    if (items.empty()) return;
    out += fmt::format("    {}:\n", key);
    for (const std::string& item : items) out += "      - " + compose_text(item) + "\n";
  };
  for (const ContainerSpec& spec : specs) {
    out += "  " + spec.name + ":\n";
    out += "    container_name: " + compose_text(spec.name) + "\n";
    out += "    image: " + compose_text(spec.image) + "\n";
    out += "    entrypoint: [" + compose_text(spec.program) + "]\n";
    list("command", spec.arguments);
    list("environment", spec.environment);
    out += "    labels:\n";
    for (const auto& [name, value] : spec.labels)
      out += "      " + compose_text(name) + ": " + compose_text(value) + "\n";
    out += "    user: " + compose_text(spec.user) + "\n";
    out += "    network_mode: host\n    read_only: true\n    restart: on-failure\n";
    list("cap_drop", {"ALL"});
    list("security_opt", {"no-new-privileges"});
    list("tmpfs", {"/tmp:" + temporary_options(spec)});
    out += fmt::format("    pids_limit: {}\n", kMostProcesses);
    if (spec.cpus > 0) out += fmt::format("    cpus: {}\n", spec.cpus);
    if (spec.memory > 0) out += fmt::format("    mem_limit: {0}\n    memswap_limit: {0}\n", spec.memory);
    if (spec.compiles) out += fmt::format("    shm_size: {}\n", kSharedMemory);
    if (!spec.read_only.empty()) out += "    volumes:\n";
    for (const std::string& path : spec.read_only) {
      out += "      - {type: bind, source: " + compose_text(path) + ", target: " + compose_text(path) +
             ", read_only: true}\n";
    }
    if (!spec.gpus.empty()) {
      const std::string which = spec.gpus.front() == "all" ? "count: all" : "device_ids: " + Json(spec.gpus).dump();
      out +=
          "    deploy:\n      resources:\n        reservations:\n          devices:\n            - {driver: nvidia, " +
          which + ", capabilities: [gpu]}\n";
    }
    out += fmt::format("    logging:\n      driver: json-file\n      options: {{max-size: \"{}\", max-file: \"{}\"}}\n",
                       kLogSize, kLogFiles);
  }
  return out;
}

}  // namespace spillway::fleet::docker
