// A request for an answer, taken apart: what all Dialects can ask.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "api/json_tree.h"

namespace spillway::api {

// Texts are as in Part: the inside of a JSON string, escapes and all. "JSON" says that a view holds a whole JSON text.
// Views lie in the body that was read, or in Conversation::kept.
struct Content {
  enum class Kind : std::uint8_t {
    kText,
    kReasoning,
    kImageData,  // text: base64
    kImageUrl,   // text: the address
    kCall,       // of a tool; text: its arguments, JSON, an object
    kResult,     // of a call; what it says is inside(), texts and images
  };
  Kind kind = Kind::kText;
  std::string_view text = {};
  std::string_view id = {};          // of the call
  std::string_view name = {};        // of the tool
  std::string_view media_type = {};  // of kImageData
  std::string_view signature = {};   // of kReasoning
  std::string_view said = {};        // of kCall: its arguments as they came, a text, where they are no object
  const std::vector<Content>* parts = nullptr;  // of kResult; in Conversation::kept_parts
  bool failed = false;                          // likewise

  [[nodiscard]] const std::vector<Content>& inside() const;
};

enum class Role : std::uint8_t { kSystem, kUser, kAssistant };

struct Message {
  Role role = Role::kUser;
  std::vector<Content> content = {};
};

struct Tool {
  std::string_view name;
  std::string_view description = {};
  std::string_view parameters = {};  // JSON; empty: none
  bool strict = false;
};

enum class ToolChoice : std::uint8_t { kAuto, kNone, kRequired, kNamed };

// How an answer has to look.
enum class AnswerForm : std::uint8_t { kText, kJson, kSchema };

struct Conversation {
  std::string_view model;  // escaped
  std::vector<Message> messages;
  std::vector<Tool> tools;
  std::optional<ToolChoice> tool_choice;
  std::string_view tool_name;  // of kNamed
  std::optional<bool> parallel_calls;

  AnswerForm form = AnswerForm::kText;
  std::string_view schema;       // JSON, of kSchema
  std::string_view schema_name;  // empty: none
  bool schema_strict = false;

  // Numbers as they stand in the body; empty: not set.
  std::string_view temperature;
  std::string_view top_p;
  std::string_view top_k;
  std::string_view min_p;
  std::string_view seed;
  std::string_view presence_penalty;
  std::string_view frequency_penalty;
  std::string_view repeat_penalty;
  std::string_view top_logprobs;
  std::int64_t max_tokens = -1;  // -1: not set
  std::vector<std::string_view> stop;

  std::optional<bool> thinks;  // thinking is switched on or off
  std::string_view effort;     // "low", "high", …: how much of it
  bool logprobs = false;
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string_view> inputs;  // to embed
  std::int64_t dimensions = -1;          // of a vector; -1: not set
  std::string_view user;                 // who asks, for the provider

  std::vector<std::string> dropped;  // names of members that no other Dialect has, and that may be left out
  std::deque<std::string> kept;      // what lies in no body

  std::deque<std::vector<Content>> kept_parts;

  std::string_view keep(std::string text) { return kept.emplace_back(std::move(text)); }
  const std::vector<Content>* keep(std::vector<Content> parts) { return &kept_parts.emplace_back(std::move(parts)); }
};

// Why a request cannot be carried; nothing: it can.
using Refusal = std::optional<ApiError>;

// "\"NAME\" has to be WHAT".
ApiError wrong_type(std::string_view name, std::string_view what);
// Status 400: a Backend that speaks another Dialect has no such thing.
ApiError not_carried(std::string_view name, std::string_view why = {});

// Setters for one member of a request each. They look at the type, and refuse what is not of it; null sets nothing.
Refusal take_number(JsonTree::Value value, std::string_view& into);
Refusal take_count(JsonTree::Value value, std::int64_t& into);
Refusal take_flag(JsonTree::Value value, std::optional<bool>& into);
Refusal take_text(JsonTree::Value value, std::string_view& into);
// A text, or a list of texts.
Refusal take_texts(JsonTree::Value value, std::vector<std::string_view>& into);
// {"type":"function","function":{…}}, as OpenAI and Ollama have it.
Refusal take_functions(JsonTree::Value list, Conversation& into);

// The arguments of a call, which stand in a text: as a JSON text of their own. Nothing: they are no object.
std::optional<std::string> arguments_of(std::string_view escaped);
// Those of a call in the history: an object, or a text that holds one. A model that was cut at its limit leaves others
// there, which must not end the session: then `call` has {} and what was said.
void take_arguments(JsonTree::Value arguments, Conversation& into, Content& call);

// What a provider wants the ids of tool calls to look like.
enum class CallIds : std::uint8_t {
  kAny,
  kWord,  // letters, digits, "_" and "-" (Anthropic)
  kNine,  // nine letters and digits (Mistral)
};
// `id`, or one made from it that fits, the same each time: a call and its result still belong together.
std::string fitting_id(std::string_view id, CallIds wanted);

// A tool's parameters, whose `type` has to be there, and `properties`: providers refuse others.
std::string object_schema(std::string_view parameters);

// Appending members: a comma before each but the first of its object.
void begin_member(std::string& out, std::string_view name);
void append_raw(std::string& out, std::string_view name, std::string_view json);
void append_text(std::string& out, std::string_view name, std::string_view escaped);
// Unless it is empty.
void append_set(std::string& out, std::string_view name, std::string_view json);
// Inside of a JSON string.
std::string escaped(std::string_view plain);

}  // namespace spillway::api
