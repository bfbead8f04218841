// The effective configuration: typed, complete, validated, immutable once made.
//
// Every field is described once, in schema.cc, with its key, unit, default and one line of
// documentation; the reader, `spillway check --print` and docs/configuration.md come from there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dialect.h"
#include "base/log.h"
#include "base/time.h"

namespace spillway::config {

// A listening address, as in "127.0.0.1:8080" or "[::1]:8080". Port 0: the system picks one.
struct Address {
  std::string host;  // an IP address, without brackets
  std::uint16_t port = 0;

  [[nodiscard]] bool is_loopback() const;
  // "host:port", IPv6 hosts in brackets.
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Address&) const = default;
};

// The reverse of to_string(); "localhost" stands for 127.0.0.1. Nothing for anything else.
std::optional<Address> parse_address(std::string_view text);

// server.tls: PEM files, and what they held when the Config was read.
struct Tls {
  std::string cert;  // the certificate, and those between it and its root
  std::string key;
  std::string cert_pem;
  std::string key_pem;
  bool operator==(const Tls&) const = default;
};

// [server]
struct Server {
  Address listen{"127.0.0.1", 8080};
  Address admin_listen{"127.0.0.1", 8081};
  int threads = 0;  // 0: one per core
  bool require_key = false;
  milliseconds drain_timeout{30'000};
  std::vector<std::string> cors_origins;  // as a browser sends them: "https://app.example.com"
  std::vector<std::string> hosts;         // names, without a port
  std::optional<Tls> tls;                 // of `listen`; nothing: plain HTTP
  bool operator==(const Server&) const = default;
};

// [limits]; sizes in bytes
struct Limits {
  std::uint64_t max_body = 32u << 20;
  std::uint64_t max_buffered = 1u << 30;  // bodies of all requests that are under way, over 16 KiB each
  std::uint64_t max_header = 32u << 10;
  std::uint32_t max_connections = 20'000;
  milliseconds header_timeout{10'000};
  milliseconds body_timeout{60'000};
  milliseconds keep_alive_timeout{75'000};  // an idle client connection is kept so long
  milliseconds write_timeout{60'000};       // a client that takes nothing for so long is left
  std::uint64_t max_event = 8u << 20;       // one event of an upstream's stream
  std::uint64_t max_response = 64u << 20;   // one whole answer of an upstream
  std::uint32_t max_waiting = 1'000;        // requests that wait at one Backend
  milliseconds max_wait{30'000};            // there
  bool operator==(const Limits&) const = default;
};

// [defaults]: what holds for an Attempt, unless its Backend or Route says otherwise.
struct Timeouts {
  milliseconds connect{1'000};
  milliseconds first_token{10'000};
  milliseconds idle{10'000};
  milliseconds answer{300'000};      // of one that comes whole
  double min_tokens_per_second = 0;  // 0: off
  milliseconds deadline{600'000};
  bool operator==(const Timeouts&) const = default;
};

// The same keys on a [[backend]] or a [[route]]: only what is set there.
struct TimeoutOverrides {
  std::optional<milliseconds> connect;
  std::optional<milliseconds> first_token;
  std::optional<milliseconds> idle;
  std::optional<milliseconds> answer;
  std::optional<double> min_tokens_per_second;
  std::optional<milliseconds> deadline;
  bool operator==(const TimeoutOverrides&) const = default;
};

// `overrides` laid over `base`.
Timeouts overlay(const Timeouts& base, const TimeoutOverrides& overrides);

// A secret that was read from the environment or from a file. Printing shows only where it came from.
struct Secret {
  std::string source;  // "env:NAME" or "file:PATH"; empty: none
  std::string value;

  [[nodiscard]] bool empty() const { return value.empty(); }
  bool operator==(const Secret&) const = default;
};

// The value of a header field: from a source as a Secret, or written out.
struct HeaderValue {
  std::string source;  // "env:NAME" or "file:PATH"; empty: `value` stands in the file
  std::string value;
  bool operator==(const HeaderValue&) const = default;
};

// [[backend]]
struct Backend {
  std::string name;
  std::string preset;
  Dialect kind = Dialect::kOpenAi;
  std::string base_url;  // http:// or https://, with or without a trailing /v1; empty for a local one
  Secret api_key;
  Tier tier = Tier::kCloud;
  std::string region;
  int max_concurrency = 0;
  std::string rate;
  std::string resume = "auto";
  std::string aggregate = "auto";
  std::map<std::string, HeaderValue> headers;
  std::vector<std::string> forward_headers;  // names of further fields of the client that go on
  TimeoutOverrides timeouts;
  std::string ca_file;  // PEM with further trusted certificate authorities; empty: only the system's

  // A local Backend: `engine` is set, `base_url` is not. With both it is an engine that somebody else runs, which is
  // asked for its load.
  std::string engine;
  std::string model;  // a Model in the store ("smollm2:135m") or the path of a GGUF file
  int replicas = 1;
  int standby = 0;
  std::string launcher = "process";
  int context = 4096;                    // tokens
  int parallel = 2;                      // answers at once, per Replica
  int critical_parallel = 0;             // further ones, for critical requests alone
  int engine_threads = 0;                // 0: the engine decides
  milliseconds start_timeout{120'000};   // from start to the first good completion
  milliseconds hang_timeout{15'000};     // of doing nothing, after which an engine is ended; 0: never
  std::vector<std::string> engine_args;  // passed to the engine as they are
  bool memory_check = true;              // what cannot fit is not loaded
  std::vector<std::string> models;       // several Models that take turns; `model` is the first then
  std::uint64_t memory = 0;              // bytes, for all of them that are loaded, or for each Replica; 0: no bound
  double cpus = 0;                       // processors that each Replica may keep busy; 0: all
  std::vector<std::string> gpus;         // indices or UUIDs of those that it may use; "all"
  std::string image;                     // with launcher docker: the engine's container image
  std::string image_digest;              // "sha256:…", of the repository or of the layers
  std::string image_program;             // the engine's program in it; empty: where its makers put it
  milliseconds unload_after{0};          // idle for so long, one of them is unloaded; 0: never
  std::string balance = "prefix";        // which of several Replicas is asked
  // Of a Backend that with_members() made: the name that it has in the file, and which of its Replicas it is, from 1
  // on; 0: one of its `models`, which is loaded when it is asked for.
  std::string member_of;
  int replica = 0;
  bool spare = false;  // a standby: it is started when it is needed

  // What clients see of its name.
  [[nodiscard]] const std::string& public_name() const { return member_of.empty() ? name : member_of; }
  // One of several Models that share memory.
  [[nodiscard]] bool takes_turns() const { return !member_of.empty() && replica == 0; }
  // It does not always run.
  [[nodiscard]] bool on_demand() const { return takes_turns() || spare; }
  // Bytes that one Replica may take; 0: any number.
  [[nodiscard]] std::uint64_t replica_bound() const { return models.empty() && !takes_turns() ? memory : 0; }
  [[nodiscard]] bool is_local() const { return !engine.empty() && base_url.empty(); }
  bool operator==(const Backend&) const = default;
};

struct Target {
  std::string backend;
  std::string model;  // empty: for a local Backend its own model, else the name the client asked for
  double weight = 1;  // for policy "weighted"
  // US dollars per million tokens, for policy "cost"; nothing: what is known of the preset's model, and 0 for a local
  // Backend.
  std::optional<double> input_price{};
  std::optional<double> output_price{};
  // `model` is asked for only where the client's name is none that the Backend lists; of the embedded default.
  bool unless_listed = false;
  bool operator==(const Target&) const = default;
};

// [[route]]
struct Route {
  std::string model = "*";
  std::string workload;
  std::string policy = "ordered";
  std::vector<Target> targets;
  int retries = 1;
  milliseconds retry_after_wait{0};
  std::string hedge = "off";
  bool resume = true;
  std::string tool_calls = "whole";
  TimeoutOverrides timeouts;
  bool operator==(const Route&) const = default;
};

// [breaker]; see backend::Breaker
struct Breaker {
  bool on = true;
  milliseconds window{10'000};
  double error_rate = 0.1;             // of the Attempts in the window; from there on a Backend is spared
  int least_failures = 5;              // in it; fewer are chance
  double slow_factor = 2.5;            // of the calm time to the first token; 0: it may be as slow as it likes
  double probe_share = 0.02;           // of its requests, while it is spared
  milliseconds probe_interval{8'000};  // and at least so often, where there are few
  bool operator==(const Breaker&) const = default;
};

// [retry_budget]; see backend::RetryBudget
struct RetryBudget {
  double ratio = 0.2;         // further tries for each first Attempt at a Backend
  double hedge_ratio = 0.05;  // and hedges elsewhere, since it is slow
  int floor = 10;             // of either; where there is little traffic
  bool operator==(const RetryBudget&) const = default;
};

// [autoscale]; see fleet::Autoscaler
struct Autoscale {
  bool on = true;
  double cpu = 0.85;                 // of the processors that a Backend's Replicas may use; 0: does not count
  milliseconds cpu_for{300'000};     // so long, before one more is started
  double gpu = 0.9;                  // of the machine's GPUs; as cpu
  milliseconds queue_wait{1'000};    // that a request waits for room; 0: does not count
  milliseconds first_token{0};       // the target of the time to the first token; 0: does not count
  milliseconds wait_for{5'000};      // so long either, before one more is started
  bool provider_health = true;       // a provider that fails counts
  milliseconds down_after{300'000};  // of calm, after which one is ended
  bool operator==(const Autoscale&) const = default;
};

// [governor]; see fleet::Governor
struct Governor {
  bool on = false;
  double set_point = 0.75;  // of the GPUs that an engine may use, or where there are none, of its processors
  bool operator==(const Governor&) const = default;
};

// [log]
struct Log {
  log::Level level = log::Level::kInfo;
  std::string access = "auto";  // "auto": DATA/log/access.jsonl; "off"; "stderr"; or a path
  std::uint64_t access_max_size = 64u << 20;
  int access_files = 4;
  bool operator==(const Log&) const = default;
};

struct Config {
  std::filesystem::path file;  // empty: made without one
  Server server;
  Limits limits;
  Timeouts defaults;
  Breaker breaker;
  RetryBudget retry_budget;
  Autoscale autoscale;
  Governor governor;
  Log log;
  std::vector<Backend> backends;
  std::vector<Route> routes;
  bool operator==(const Config&) const = default;
};

}  // namespace spillway::config
