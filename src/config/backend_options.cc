// The options of a [[backend]].
#include <algorithm>
#include <array>

#include "config/option_lists.h"
#include "config/presets.h"
#include "config/schema.h"
#include "config/values.h"

namespace spillway::config {

namespace {

// The name of an environment variable (POSIX.1-2017, 3.235, and lower case).
bool is_variable(std::string_view name) {
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9');
}

bool is_path(std::string_view path) {
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  }
  return !path.empty();
}

bool is_reference(std::string_view text) {
  return (text.starts_with("env:") && is_variable(text.substr(4))) ||
         (text.starts_with("file:") && is_path(text.substr(5)));
}

Option<Backend> api_key_option() {
  Option<Backend> option{"api_key", "reference", "`env:NAME` or `file:PATH`, never the secret itself.", {}, {}};
  option.read = [](const Value& value, Backend& out, Problems& problems) {
    const std::string hint =
        "never the secret itself; as in: api_key = \"env:DEEPSEEK_API_KEY\" or \"file:/run/secrets/deepseek\"";
    // What is there is not shown: it may be a secret, behind env: as well.
    if (value.kind != Kind::kString || !is_reference(value.text))
      return problems.add(value.place, "api_key has to be env:NAME or file:PATH", hint);
    out.api_key.source = value.text;
  };
  option.print = [](const Backend& from) {
    return from.api_key.source.empty() ? "" : toml_string(from.api_key.source);
  };
  return option;
}

// Characters of a field name (RFC 9110, 5.6.2).
bool is_token(std::string_view name) {
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}

void read_header(const Entry& entry, Backend& out, Problems& problems) {
  for (const std::string_view own :
       {"host", "content-length", "transfer-encoding", "connection", "authorization", "content-type", "accept-encoding",
        "expect", "upgrade", "te", "trailer", "keep-alive"}) {
    if (equals_ignore_case(entry.key, own)) {
      return problems.add(entry.place, "the field " + entry.key + " is set by Spillway",
                          own == "authorization" ? "use api_key" : "leave it out");
    }
  }
  if (!is_token(entry.key)) return problems.add(entry.place, excerpt(entry.key) + " is not a header field name");
  if (entry.value.kind != Kind::kString)
    return add_wrong_kind(problems, entry.value, "a string", "headers = { \"x-team\" = \"blue\" }");
  for (const char c : entry.value.text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) {
      return problems.add(entry.value.place, "the value of the field " + entry.key + " holds a control character");
    }
  }
  for (const auto& [name, value] : out.headers) {
    if (equals_ignore_case(name, entry.key))
      return problems.add(entry.place, "the field " + entry.key + " is set twice");
  }
  const std::string& text = entry.value.text;
  if (text.starts_with("env:") || text.starts_with("file:")) {
    if (!is_reference(text)) {
      return problems.add(entry.value.place, "the value of the field " + entry.key + " names no source",
                          "as in: \"env:TEAM_TOKEN\" or \"file:/run/secrets/team\"");
    }
    out.headers[entry.key] = {text, {}};
    return;
  }
  if (names_a_secret(entry.key)) {
    problems.warn(entry.value.place, "the value of the field " + entry.key + " looks like a secret",
                  "keep it out of the file: " + entry.key + " = \"env:NAME\" or \"file:PATH\"");
  }
  out.headers[entry.key] = {{}, text};
}

Option<Backend> headers_option() {
  Option<Backend> option{
      "headers", "table", "Extra request header fields; a value may be `env:NAME` or `file:PATH`.", {}, {}};
  option.read = [](const Value& value, Backend& out, Problems& problems) {
    if (value.kind != Kind::kTable)
      return add_wrong_kind(problems, value, "a table", "headers = { \"x-team\" = \"blue\" }");
    for (const Entry& entry : value.entries) read_header(entry, out, problems);
  };
  option.print = [](const Backend& from) {
    std::string out;
    for (const auto& [name, value] : from.headers) {
      const std::string shown = !value.source.empty() ? value.source : names_a_secret(name) ? "***" : value.value;
      out += (out.empty() ? "{ " : ", ") + toml_string(name) + " = " + toml_string(shown);
    }
    return out.empty() ? out : out + " }";
  };
  return option;
}

std::string why_no_argument(std::string_view text) {
  return text.find('\0') == std::string_view::npos ? "" : "holds a NUL character";
}

std::string why_no_gpu(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
                                          "VWXYZ-/") == std::string_view::npos;
  return plain ? "" : "is no GPU's index or UUID";
}

// What never goes on, whoever asks for it: it is the client's business with Spillway, or one connection's.
std::string why_no_forwarded_field(std::string_view name) {
  if (!is_token(name)) return "is no name of a header field";
  for (const std::string_view own :
       {"authorization", "x-api-key", "api-key", "cookie", "host", "content-length", "content-type", "content-encoding",
        "transfer-encoding", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
        "upgrade", "expect", "accept-encoding", "x-request-id"}) {
    if (equals_ignore_case(name, own)) return "is never forwarded";
  }
  constexpr std::string_view kOwnPrefix = "x-spillway-";
  return equals_ignore_case(name.substr(0, kOwnPrefix.size()), kOwnPrefix) ? "is never forwarded" : "";
}

}  // namespace

const Options<Backend>& backend_options() {
  static const Options<Backend> options = [] {
    std::vector<std::string> preset_names;
    for (const Preset& preset : presets()) preset_names.emplace_back(preset.name);
    Options<Backend> list{
        text<Backend>("name", FIELD(name), "string", "How Routes, logs and metrics call it. Required, once each."),
        word<Backend>("preset", preset_names, FIELD(preset),
                      "Fills in kind, base_url, tier, region and api_key; each may be set as well."),
        choice<Backend>(
            "kind", {"openai", "anthropic", "ollama"},
            [](Backend& out, const std::string& chosen) {
              out.kind = chosen == "openai"      ? Dialect::kOpenAi
                         : chosen == "anthropic" ? Dialect::kAnthropic
                                                 : Dialect::kOllama;
            },
            [](const Backend& from) { return std::string(to_string(from.kind)); },
            "The Dialect that it speaks: clients of any other are translated."),
        text<Backend>("base_url", FIELD(base_url), "URL", "As an SDK would have it; with and without /v1 both work."),
        api_key_option(),
        choice<Backend>(
            "tier", {"cloud", "edge", "device"},
            [](Backend& out, const std::string& chosen) {
              out.tier = chosen == "cloud" ? Tier::kCloud : chosen == "edge" ? Tier::kEdge : Tier::kDevice;
            },
            [](const Backend& from) { return std::string(to_string(from.tier)); },
            "Where it lives; a local Backend is edge unless it says otherwise."),
        text<Backend>("region", FIELD(region), "string", "Where its data is processed, as in cn, us, eu."),
        integer<Backend>("max_concurrency", FIELD(max_concurrency), 0, kMany,
                         "Attempts at once, more wait or go elsewhere; 0: adaptive, at a local Backend its replicas "
                         "times `parallel` at most."),
        text<Backend>("rate", FIELD(rate), "rate",
                      "Attempts in any second, minute or hour, as in 60/m: more wait or go elsewhere before the "
                      "provider says 429."),
        word<Backend>("resume",
                      {"auto", "prefix", "partial", "prefix_field", "continue_final_message", "assistant", "ask",
                       "replay", "none"},
                      FIELD(resume), "How a cut answer is continued here; auto: what the preset or engine knows."),
        word<Backend>(
            "aggregate", {"auto", "on", "off"}, FIELD(aggregate),
            "A non-streaming request is streamed from here and assembled, so that silence and cuts are noticed "
            "and mended; auto: when the answer may be long (no limit of tokens asked, or over 256)."),
        headers_option(),
        texts<Backend>("forward_headers", FIELD(forward_headers), "x-team", why_no_forwarded_field,
                       "Further header fields of the client that go on to this Backend."),
        text<Backend>("ca_file", FIELD(ca_file), "path",
                      "PEM file with certificate authorities to trust besides the system's."),
        word<Backend>("engine", {"llama.cpp", "vllm", "sglang", "tensorrt-llm", "ollama"}, FIELD(engine),
                      "A local Backend: Spillway starts and watches this engine. With a base_url: what runs there, "
                      "whose queue and use of memory are asked for and count in routing."),
        text<Backend>("model", FIELD(model), "string",
                      "Of a local Backend: a Model in the store, or the path of a GGUF file; for vllm, sglang and "
                      "tensorrt-llm a folder or a Hugging Face repository, for ollama a name of its own."),
        integer<Backend>("replicas", FIELD(replicas), 1, 16, "Replicas that always run, each an engine of its own."),
        word<Backend>(
            "balance", {"prefix", "least"}, FIELD(balance),
            "Which of several Replicas is asked first. prefix: the one with the fewest tokens to compute, those "
            "in flight and those of the prompt that it has not been given of late; least: the fewest in flight."),
        integer<Backend>("standby", FIELD(standby), 0, 1024,
                         "How many more Replicas may be started while they are needed, see [autoscale]."),
        word<Backend>("launcher", {"process", "docker", "kubernetes"}, FIELD(launcher),
                      "How Replicas are started: as processes, or in containers of a Docker engine (at DOCKER_HOST, "
                      "else unix:///var/run/docker.sock). kubernetes: not in this version."),
        number<Backend>("cpus", FIELD(cpus),
                        "Processors that each Replica may keep busy, as in 1.5; 0: all. As processes by a control "
                        "group where one can be made, else rounded up."),
        texts<Backend>("gpus", FIELD(gpus), "0", why_no_gpu,
                       "GPUs that each Replica may use, by index or UUID, or \"all\"; none named: as a process all, in "
                       "a container none."),
        text<Backend>("image", FIELD(image), "string",
                      "With launcher docker: the container image, as in repository:tag or repository@sha256:…; "
                      "empty: that of the engine's makers."),
        text<Backend>("image_digest", FIELD(image_digest), "sha256:…",
                      "With launcher docker: what the image has to be, or nothing starts: the digest that its "
                      "repository has for it, or, of an imported one, the chain ID of its layers (of one layer: the "
                      "SHA-256 of its tar)."),
        text<Backend>(
            "image_program", FIELD(image_program), "path",
            "With launcher docker: the engine's program in the image, a path or a word of its PATH; empty: where "
            "its makers put it."),
        integer<Backend>("context", FIELD(context), 128, 16'777'216, "Tokens of context for each answer."),
        integer<Backend>("parallel", FIELD(parallel), 1, 1024, "Answers at once, per Replica."),
        integer<Backend>(
            "critical_parallel", FIELD(critical_parallel), 0, 1024,
            "Further ones, for critical requests alone; each takes the memory of one more context. Without "
            "any, a part of `parallel` is kept for them while they come."),
        integer<Backend>("engine_threads", FIELD(engine_threads), 0, 4096,
                         "Threads of the engine; 0: `cpus`, else as many as there are processors (its part of them "
                         "where several engines run and it was built without OpenMP)."),
        duration<Backend>("start_timeout", FIELD(start_timeout), milliseconds(100),
                          "From the engine's start to its first good completion."),
        duration<Backend>("hang_timeout", FIELD(hang_timeout), milliseconds(0),
                          "An engine that says nothing of its health for so long, or was given requests and does "
                          "nothing, is ended and started again; 0s: never."),
        texts<Backend>("engine_args", FIELD(engine_args), "--flash-attn\", \"on", why_no_argument,
                       "Passed to the engine as they are, after Spillway's own."),
        boolean<Backend>("memory_check", FIELD(memory_check),
                         "Do not load what cannot fit into memory, by what it is expected to take."),
        texts<Backend>("models", FIELD(models), "llama3.2:1b", why_no_argument,
                       "Several Models that take turns in the Backend's memory: the one that a request names is "
                       "loaded when it is asked for, the least recently used idle ones make way."),
        size<Backend>("memory", FIELD(memory), 0,
                      "What each Replica may take at most: one that needs more is killed and started again. With "
                      "`models` what all that are loaded at once may take. 0: what the machine has, less 1 GiB."),
        duration<Backend>(
            "unload_after", FIELD(unload_after), milliseconds(0),
            "One of `models` that has been idle for so long is unloaded; 0s: only where room is needed.")};
    add_overrides(list);
    return list;
  }();
  return options;
}

std::span<const std::string_view> engine_keys() {
  static constexpr std::array<std::string_view, 21> kKeys{"critical_parallel",
                                                          "model",
                                                          "replicas",
                                                          "standby",
                                                          "launcher",
                                                          "context",
                                                          "parallel",
                                                          "engine_threads",
                                                          "start_timeout",
                                                          "engine_args",
                                                          "memory_check",
                                                          "models",
                                                          "memory",
                                                          "unload_after",
                                                          "balance",
                                                          "cpus",
                                                          "gpus",
                                                          "image",
                                                          "image_digest",
                                                          "image_program",
                                                          "hang_timeout"};
  return kKeys;
}

}  // namespace spillway::config
