#include "config/schema.h"

#include <algorithm>
#include <array>

#include "config/option_lists.h"
#include "config/values.h"

namespace spillway::config {

namespace {

// As a browser writes it (RFC 6454, 7): scheme, host and, where it is not the scheme's own, port.
std::string why_no_origin(std::string_view text) {
  if (text == "*" || text == "null") return {};
  const std::size_t colon = text.find("://");
  if (colon == 0 || colon == std::string_view::npos || colon + 3 == text.size()) return "is no Origin";
  for (const char c : text.substr(colon + 3)) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '/' || c == '*') return "is no Origin";
  }
  return {};
}

std::string why_no_host(std::string_view text) {
  if (text == "*") return {};
  for (const char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (!good) return "is not a host name (write it without scheme and port)";
  }
  return text.empty() ? "is not a host name" : "";
}

Option<Route> targets_option() {
  Option<Route> option{"targets", "list of tables", "Asked in this order; see below. Required.", {}, {}};
  option.read = [](const Value& value, Route& out, Problems& problems) {
    const std::string_view example =
        "targets = [{ backend = \"deepseek\", model = \"deepseek-flash\" }, { backend = \"local\" }]";
    if (value.kind != Kind::kArray) return add_wrong_kind(problems, value, "a list of tables", example);
    for (const Value& item : value.items) {
      if (item.kind != Kind::kTable) {
        add_wrong_kind(problems, item, "a table", example);
        out.targets.emplace_back();  // keeps the places of the others right
      } else {
        out.targets.push_back(read_table<Target>(item, "a target", target_options(), problems).value);
      }
    }
  };
  option.print = [](const Route& from) {
    std::string out;
    for (const Target& target : from.targets) {
      out += out.empty() ? "[\n" : ",\n";
      std::string fields;
      for (const Option<Target>& field : target_options()) {
        if (const std::string printed = field.print(target); !printed.empty())
          fields += (fields.empty() ? "" : ", ") + field.key + " = " + printed;
      }
      out += "  { " + fields + " }";
    }
    return out.empty() ? std::string("[]") : out + ",\n]";
  };
  return option;
}

const Options<Tls>& tls_options() {
  static const Options<Tls> options{
      text<Tls>("cert", FIELD(cert), "PATH", "A PEM file: the certificate, then its chain."),
      text<Tls>("key", FIELD(key), "PATH", "A PEM file: its private key.")};
  return options;
}

Option<Server> tls_option() {
  Option<Server> option{"tls",
                        "{ cert = PATH, key = PATH }",
                        "`listen` speaks TLS 1.2 and 1.3. Changed files are taken up as a changed config is.",
                        {},
                        {}};
  option.read = [](const Value& value, Server& out, Problems& problems) {
    if (value.kind != Value::Kind::kTable) {
      problems.add(value.place, "`tls` has to be a table", "as in: tls = { cert = \"cert.pem\", key = \"key.pem\" }");
      return;
    }
    out.tls = read_table<Tls>(value, "server.tls", tls_options(), problems).value;
  };
  option.print = [](const Server& from) {
    if (!from.tls) return std::string();
    std::string fields;
    for (const Option<Tls>& field : tls_options())
      fields += (fields.empty() ? "" : ", ") + field.key + " = " + field.print(*from.tls);
    return "{ " + fields + " }";
  };
  return option;
}

}  // namespace

const Options<Server>& server_options() {
  static const Options<Server> options{
      address<Server>("listen", FIELD(listen), "Data plane; port 0 picks one and prints it."),
      address<Server>("admin_listen", FIELD(admin_listen),
                      "`/metrics`, `/admin/v1`; never reachable through `listen`."),
      integer<Server>("threads", FIELD(threads), 0, 1024, "Worker threads; 0: one per core."),
      boolean<Server>("require_key", FIELD(require_key),
                      "Refuse requests without a known API key. Must be true when `listen` is not loopback, or `serve` "
                      "refuses to start. "
                      "This version has no keys yet, so it then refuses all."),
      duration<Server>("drain_timeout", FIELD(drain_timeout), milliseconds(0),
                       "After SIGTERM, how long streams may take to end."),
      texts<Server>("cors_origins", FIELD(cors_origins), "https://app.example.com", why_no_origin,
                    "Foreign Origins whose pages may ask; those of this machine always may. `*`: all."),
      texts<Server>("hosts", FIELD(hosts), "llm.example.com", why_no_host,
                    "Further names under which a loopback listener may be asked; `*`: all."),
      tls_option()};
  return options;
}

const Options<Limits>& limits_options() {
  static const Options<Limits> options{
      size<Limits>("max_body", FIELD(max_body), 1, "A request's body; larger is 413."),
      size<Limits>(
          "max_buffered", FIELD(max_buffered), 1u << 20,
          "Bodies of more than 16 KiB of all requests that are under way; what comes on top is refused with 503 "
          "before it is read."),
      size<Limits>("max_header", FIELD(max_header), 256, "A message's start line and header; larger is 431."),
      integer<Limits>("max_connections", FIELD(max_connections), 1, kMany,
                      "Open client connections, over all threads; one more gets 503."),
      duration<Limits>("header_timeout", FIELD(header_timeout), milliseconds(1),
                       "For a request's whole header, from its first byte; then 408."),
      duration<Limits>("body_timeout", FIELD(body_timeout), milliseconds(1), "For a request's whole body; then 408."),
      duration<Limits>("keep_alive_timeout", FIELD(keep_alive_timeout), milliseconds(1),
                       "How long an idle client connection is kept."),
      duration<Limits>("write_timeout", FIELD(write_timeout), milliseconds(1),
                       "A client that takes nothing for so long is left."),
      size<Limits>("max_event", FIELD(max_event), 1024, "One event of a Backend's stream."),
      size<Limits>("max_response", FIELD(max_response), 1024, "One whole answer of a Backend."),
      integer<Limits>("max_waiting", FIELD(max_waiting), 0, kMany,
                      "Requests that wait at one Backend for room, or for an engine to load; one more is shed."),
      duration<Limits>("max_wait", FIELD(max_wait), milliseconds(0),
                       "A request whose wait is foreseen to be longer is shed: 503 with a Retry-After.")};
  return options;
}

const Options<Timeouts>& defaults_options() {
  static const Options<Timeouts> options{
      duration<Timeouts>("connect_timeout", FIELD(connect), milliseconds(1),
                         "To a connection with a Backend, TLS included."),
      duration<Timeouts>("first_token_timeout", FIELD(first_token), milliseconds(1),
                         "From the request to the first content or reasoning token, tool-call delta, or whole answer."),
      duration<Timeouts>("idle_timeout", FIELD(idle), milliseconds(1), "The longest gap between such tokens."),
      duration<Timeouts>("answer_timeout", FIELD(answer), milliseconds(1),
                         "For an answer that comes whole, where it may be long and is not streamed from the Backend."),
      number<Timeouts>("min_tokens_per_second", FIELD(min_tokens_per_second),
                       "A floor over a sliding window of 5 s, from the first token on; 0: off, at most 1000."),
      duration<Timeouts>("deadline", FIELD(deadline), milliseconds(1), "The whole Exchange, over all Attempts.")};
  return options;
}

const Options<Breaker>& breaker_options() {
  static const Options<Breaker> options{
      boolean<Breaker>("on", FIELD(on), "false: a Backend gets its requests whatever becomes of them."),
      duration<Breaker>("window", FIELD(window), milliseconds(100),
                        "Over which failures are counted; where there are few Attempts, over six of it."),
      share<Breaker>("error_rate", FIELD(error_rate), "Of the Attempts in it; from there on the Backend is spared."),
      integer<Breaker>("least_failures", FIELD(least_failures), 1, 1'000,
                       "In it; fewer are chance. So many in a row are enough, whatever their share."),
      number<Breaker>("slow_factor", FIELD(slow_factor),
                      "So many times its calm time to the first token is too slow, and it is spared; 0: never."),
      share<Breaker>("probe_share", FIELD(probe_share),
                     "Of its requests, that a Backend that is spared gets; they come back as they are answered."),
      duration<Breaker>("probe_interval", FIELD(probe_interval), milliseconds(10),
                        "And one at least so often, where there are few.")};
  return options;
}

const Options<RetryBudget>& retry_budget_options() {
  static const Options<RetryBudget> options{
      number<RetryBudget>("ratio", FIELD(ratio),
                          "Further tries at a Backend for each first Attempt there (`retries`)."),
      share<RetryBudget>("hedge_ratio", FIELD(hedge_ratio),
                         "Hedges for each first Attempt at a Backend (`hedge`): they cost tokens."),
      integer<RetryBudget>("floor", FIELD(floor), 0, 1'000'000,
                           "Of either: so many there are at first, and at most at once.")};
  return options;
}

const Options<Autoscale>& autoscale_options() {
  static const Options<Autoscale> options{
      boolean<Autoscale>("on", FIELD(on), "false: no standby is started."),
      share<Autoscale>("cpu", FIELD(cpu),
                       "Of the processors that a Backend's Replicas may use: from there on one more is started; 0: it "
                       "does not count."),
      duration<Autoscale>("cpu_for", FIELD(cpu_for), milliseconds(0), "After it has been so for so long."),
      share<Autoscale>("gpu", FIELD(gpu), "The same for the use of the machine's GPUs, for as long."),
      duration<Autoscale>("queue_wait", FIELD(queue_wait), milliseconds(0),
                          "Requests wait for room, and the next one would for so long: one more is started; 0s: it "
                          "does not count."),
      duration<Autoscale>("first_token", FIELD(first_token), milliseconds(0),
                          "The target of the time to the first token, the wait for room included: where it takes "
                          "longer, one more is started; 0s: "
                          "it does not count."),
      duration<Autoscale>("wait_for", FIELD(wait_for), milliseconds(0), "After either has been so for so long."),
      boolean<Autoscale>("provider_health", FIELD(provider_health),
                         "One more is started when a provider fails that shares a Route with the Backend."),
      duration<Autoscale>("down_after", FIELD(down_after), milliseconds(0),
                          "One is ended when the others could have carried the load with ease for so long.")};
  return options;
}

const Options<Governor>& governor_options() {
  static const Options<Governor> options{
      boolean<Governor>("on", FIELD(on), "true: how busy each local engine is, is held at the set point."),
      share<Governor>("set_point", FIELD(set_point),
                      "Of the GPUs that the engine may use or, on a machine without, of its processors; a mean over a "
                      "minute.")};
  return options;
}

const Options<Log>& log_options() {
  static const Options<Log> options{
      choice<Log>(
          "level", {"debug", "info", "warn", "error", "off"},
          [](Log& out, const std::string& chosen) { out.level = *log::parse_level(chosen); },
          [](const Log& from) -> std::string {
            for (const char* level : {"debug", "info", "warn", "error"}) {
              if (log::parse_level(level) == from.level) return level;
            }
            return "off";
          },
          "How much is logged on stderr."),
      text<Log>("access", FIELD(access), "auto \\| off \\| stderr \\| path",
                "Where one JSON line per Exchange goes; auto: `DATA/log/access.jsonl`."),
      size<Log>("access_max_size", FIELD(access_max_size), 64u << 10, "The file is rotated when it is larger."),
      integer<Log>("access_files", FIELD(access_files), 1, 1000, "How many rotated files are kept.")};
  return options;
}

const Options<Route>& route_options() {
  static const Options<Route> options = [] {
    Options<Route> list{
        text<Route>("model", FIELD(model), "pattern",
                    "The name that clients ask for: exact, or a glob with * and ?; the most specific Route serves."),
        text<Route>("workload", FIELD(workload), "string",
                    "Only requests with this label (header x-spillway-workload); empty: all."),
        word<Route>(
            "policy", {"ordered", "latency", "cost", "weighted"}, FIELD(policy),
            "In which order Targets are asked: as they stand here; by time to the first token and load; by what "
            "the request costs there; drawn by weight."),
        targets_option(),
        integer<Route>(
            "retries", FIELD(retries), 0, 100,
            "More tries at one Target before the next, after an overload, a server error, a cut or an empty answer, "
            "within the Backend's budget of retries."),
        duration<Route>("retry_after_wait", FIELD(retry_after_wait), milliseconds(0),
                        "The longest wait for a provider's Retry-After before asking it again, rather than going to "
                        "the next Target."),
        text<Route>("hedge", FIELD(hedge), "off \\| auto \\| duration",
                    "Ask the next Target as well when no first token has come by then; the first one that has one "
                    "answers, the other is stopped. auto: when 95 % of answers would have begun."),
        boolean<Route>("resume", FIELD(resume),
                       "Go on with a stream that breaks after its first token at the next Target."),
        word<Route>(
            "tool_calls", {"whole", "live"}, FIELD(tool_calls),
            "whole: tool calls are held until the answer's finish, so that a cut before it can be mended; live: as "
            "they come.")};
    add_overrides(list);
    return list;
  }();
  return options;
}

const Options<Target>& target_options() {
  static const Options<Target> options{
      text<Target>("backend", FIELD(backend), "string", "The name of a [[backend]]. Required."),
      text<Target>(
          "model", FIELD(model), "string",
          "The model to ask it for; without one a local Backend's own, else the name that the client asked for."),
      boolean<Target>("unless_listed", FIELD(unless_listed),
                      "`model` is asked for only where the client's name is none that the provider lists under "
                      "/models; a listed one passes through."),
      number<Target>("weight", FIELD(weight), "Its share under policy weighted; 0: only when no other can serve."),
      number<Target>(
          "input_price", FIELD(input_price),
          "US dollars per million tokens of a prompt, for policy cost; without one the preset's, and nothing "
          "for a local Backend."),
      number<Target>("output_price", FIELD(output_price), "The same for tokens of an answer.")};
  return options;
}

std::vector<std::string> section_names() {
  return {"server",    "limits",   "defaults", "breaker", "retry_budget",
          "autoscale", "governor", "log",      "backend", "route"};
}

}  // namespace spillway::config
