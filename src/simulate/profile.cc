#include "simulate/profile.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/text.h"
#include "config/option_kinds.h"
#include "simulate/faults.h"

namespace spillway::simulate {

namespace {

using config::Entry;
using config::Option;
using config::Options;
using config::Placed;
using config::Problems;
using config::Value;

constexpr std::uint64_t kMaxFile = 1u << 20;  // bytes

// The field of a struct, for the makers of options; as in config/schema.cc.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a member cannot be named in parentheses
#define FIELD(name) [](auto& from) -> auto& { return from.name; }

// Minutes after midnight: "09:30".
std::optional<int> parse_time_of_day(std::string_view text) {
  int hour = 0;
  int minute = 0;
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const char* const begin = text.data();
  if (std::from_chars(begin, begin + 2, hour).ptr != begin + 2) return std::nullopt;
  if (std::from_chars(begin + 3, begin + 5, minute).ptr != begin + 5) return std::nullopt;
  if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || (hour == 24 && minute > 0)) return std::nullopt;
  return hour * 60 + minute;
}

template <class T, class Get>
Option<T> time_of_day(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "time of day", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    const std::string example = name + " = \"10:00\"";
    if (value.kind != Value::Kind::kString) return add_wrong_kind(problems, value, "a time of day in quotes", example);
    const auto parsed = parse_time_of_day(value.text);
    if (!parsed)
      return problems.add(value.place, config::excerpt(value.text) + " is no time of day", "as in: " + example);
    get(out) = *parsed;
  };
  return option;
}

template <class T, class Get>
Option<T> milliseconds_of(std::string key, Get get, std::string about) {
  return config::duration<T>(std::move(key), get, milliseconds(0), std::move(about));
}

// Any text, line ends included.
template <class T, class Get>
Option<T> long_text(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "string", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Value::Kind::kString) return add_wrong_kind(problems, value, "a string", name + " = \"…\"");
    get(out) = value.text;
  };
  return option;
}

template <class T, class Get>
Option<T> fault_kind(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "fault", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Value::Kind::kString) return add_wrong_kind(problems, value, "a string", name + " = \"503\"");
    if (find_fault(value.text) == nullptr) {
      const auto meant = did_you_mean(value.text, fault_names());
      return problems.add(value.place, config::excerpt(value.text) + " is no fault",
                          meant ? "did you mean \"" + *meant + "\"?" : "see `spillway simulate --faults`");
    }
    get(out) = value.text;
  };
  return option;
}

const std::vector<std::string>& resume_words() {
  static const std::vector<std::string> words{"prefix", "partial", "prefix_field", "continue_final_message",
                                              "assistant"};
  return words;
}

const Options<FaultRule>& fault_options() {
  using T = FaultRule;
  static const Options<T> options{
      config::text<T>("name", FIELD(name), "string", "For `script`; without one it is named as its kind."),
      fault_kind<T>("kind", FIELD(kind), "What happens: see below. Required."),
      config::share<T>("probability", FIELD(probability),
                       "The share of requests that it strikes; 0: only those of `script`."),
      config::boolean<T>("bursty", FIELD(bursty),
                         "Of 20 requests in a row either many are struck, or few: a quarter of "
                         "the time at 3.2 times the probability."),
      config::share<T>("at", FIELD(at), "The share of the answer's tokens after which it strikes; not set: anywhere."),
      config::duration<T>("retry_after", FIELD(retry_after), milliseconds(0), "Of a status: its Retry-After."),
      config::text<T>("message", FIELD(message), "string", "Of a status: what it says."),
      config::text<T>("code", FIELD(code), "string", "Of a status: `error.code`.")};
  return options;
}

const Options<Day>& day_options() {
  using T = Day;
  static const Options<T> options{
      config::duration<T>("length", FIELD(length), milliseconds(1), "Of the 24 hours. Required."),
      time_of_day<T>("starts_at", FIELD(starts_at), "When the provider starts."),
      time_of_day<T>("peak_from", FIELD(peak_from), "When its peak begins."),
      time_of_day<T>("peak_to", FIELD(peak_to), "When it ends."),
      config::number<T>("latency", FIELD(latency), "`first_token` is that many times as long at the peak."),
      config::share<T>("error_rate", FIELD(error_rate), "The share of requests that go wrong at the peak."),
      config::boolean<T>("bursty", FIELD(bursty), "As of a fault: bursts, rather than evenly."),
      fault_kind<T>("kind", FIELD(kind), "What goes wrong then.")};
  return options;
}

// What a fault or a day needs, and one of both cannot say by a default.
void check(const Placed<FaultRule>& rule, Problems& problems) {
  if (rule.value.kind.empty() && !rule.has("kind"))
    problems.add(rule.of("kind"), "a [[fault]] needs a kind", "as in: kind = \"503\"");
}

void check(const Placed<Day>& day, Problems& problems) {
  if (!day.has("length")) problems.add(day.of("length"), "[day] needs a length", "as in: length = \"24m\"");
  if (day.value.peak_from >= day.value.peak_to)
    problems.add(day.of("peak_to"), "the peak has to end after it begins",
                 R"(as in: peak_from = "10:00", peak_to = "12:00")");
}

const Options<Profile>& profile_options() {
  using T = Profile;
  static const Options<T> options = [] {
    Options<T> made{
        config::text<T>("model", FIELD(model), "string", "As it names itself."),
        config::integer<T>("seed", FIELD(seed), 0, INT64_MAX, "Same seed, same run."),
        long_text<T>("text", FIELD(text), "What it answers to everything; not set: made up from the request."),
        config::integer<T>("tokens", FIELD(tokens), 1, 100'000, "Of a made-up answer."),
        config::integer<T>("reasoning_tokens", FIELD(reasoning_tokens), 0, 100'000,
                           "Before the answer, unless the request switches thinking off."),
        config::integer<T>("tool_calls", FIELD(tool_calls), 0, 16,
                           "Where the request has tools: so many calls at once, behind the text."),
        milliseconds_of<T>("first_token", FIELD(first_token), "Median time to the first token."),
        config::number<T>("latency_spread", FIELD(latency_spread), "Standard deviation of its logarithm."),
        config::number<T>("tokens_per_second", FIELD(tokens_per_second), "The pace from then on; 0: all at once."),
        config::text<T>("api_key", FIELD(api_key), "string", "What it asks for; not set: nothing.")};
    Option<T> resume = config::texts<T>(
        "resume", FIELD(resume), "prefix",
        [](std::string_view word) {
          return std::ranges::count(resume_words(), word) > 0
                     ? std::string()
                     : std::string("is none of prefix, partial, prefix_field, continue_final_message, assistant");
        },
        "The forms in which it goes on with a part of an answer; others are refused with 400.");
    resume.read = [read = resume.read](const Value& value, T& out, Problems& problems) {
      out.resume.clear();
      read(value, out, problems);
    };
    made.push_back(std::move(resume));
    made.push_back(config::texts<T>(
        "script", FIELD(script), "503", [](std::string_view) { return std::string(); },
        "Faults, or \"ok\", for one request after the other; the last one repeats."));
    Option<T> faults{"fault", "list of tables", "What goes wrong with a part of the requests: see below.", {}, {}};
    faults.read = [](const Value& value, T& out, Problems& problems) {
      if (value.kind != Value::Kind::kArray)
        return problems.add(value.place, "`fault` is a list of tables", "write [[fault]], with two brackets");
      for (const Value& item : value.items) {
        const Placed<FaultRule> rule = config::read_table(item, "[[fault]]", fault_options(), problems);
        check(rule, problems);
        out.faults.push_back(rule.value);
      }
    };
    made.push_back(std::move(faults));
    Option<T> day{"day", "table", "A working day with a peak: see below.", {}, {}};
    day.read = [](const Value& value, T& out, Problems& problems) {
      const Placed<Day> read = config::read_table(value, "[day]", day_options(), problems);
      check(read, problems);
      out.day = read.value;
    };
    made.push_back(std::move(day));
    return made;
  }();
  return options;
}

#undef FIELD

void check_script(const Placed<Profile>& profile, Problems& problems) {
  const Value* const script = profile.table == nullptr ? nullptr : profile.table->find("script");
  if (script == nullptr || script->kind != Value::Kind::kArray) return;
  for (const Value& item : script->items) {
    if (item.kind != Value::Kind::kString) continue;
    if (const std::string why = why_no_script(profile.value, item.text); !why.empty())
      problems.add(item.place, config::excerpt(item.text) + " is no fault", why);
  }
}

void check_sum(const Placed<Profile>& profile, Problems& problems) {
  double sum = 0;
  for (const FaultRule& rule : profile.value.faults) sum += rule.probability;
  if (sum > 1 + 1e-9)
    problems.add(profile.of("fault"), "the probabilities of all faults add up to " + config::print_number(sum),
                 "a request is struck by one of them at most: together they may be 1");
}

template <class T>
void append_table(std::string& out, const std::string& title, const Options<T>& options) {
  out += "\n### " + title + "\n\n| key | type | meaning |\n| --- | --- | --- |\n";
  for (const Option<T>& option : options)
    out += "| `" + option.key + "` | " + option.type + " | " + option.about + " |\n";
}

}  // namespace

std::string why_no_script(const Profile& profile, std::string_view word) {
  if (word == "ok" || find_fault(word) != nullptr) return {};
  std::vector<std::string> known = fault_names();
  known.emplace_back("ok");
  for (const FaultRule& rule : profile.faults) {
    if (!rule.name.empty() && rule.name == word) return {};
    known.push_back(rule.name);
  }
  const auto meant = did_you_mean(word, known);
  return meant ? "did you mean \"" + *meant + "\"?" : "see `spillway simulate --faults`; \"ok\" is none at all";
}

LoadedProfile load_profile_text(std::string_view toml, const std::filesystem::path& path) {
  LoadedProfile out;
  Problems problems(path.string());
  const config::Document document = config::parse_document(toml);
  if (!document.error.empty()) {
    problems.add(document.error_place, document.error);
  } else {
    Placed<Profile> read = config::read_table(document.root, "the profile", profile_options(), problems);
    check_script(read, problems);
    check_sum(read, problems);
    if (problems.none()) out.profile = std::move(read.value);
  }
  out.problems = problems.errors();
  return out;
}

LoadedProfile load_profile(const std::filesystem::path& path) {
  const auto text = read_file(path, kMaxFile);
  if (text) return load_profile_text(*text, path);
  LoadedProfile out;
  out.problems.push_back({path.string(), 0, 0, text.error().message, text.error().hint, false});
  return out;
}

std::string profile_documentation() {
  std::string out;
  append_table(out, "The profile", profile_options());
  append_table(out, "[[fault]]", fault_options());
  append_table(out, "[day]", day_options());
  out += "\n### Faults\n\n| fault | what happens |\n| --- | --- |\n";
  for (const Fault& fault : faults())
    out += "| `" + std::string(fault.name) + "` | " + std::string(fault.about) + " |\n";
  return out;
}

}  // namespace spillway::simulate
