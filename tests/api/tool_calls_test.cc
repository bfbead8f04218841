#include "api/tool_calls.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/assembler.h"
#include "api/format.h"

namespace spillway::api {
namespace {

using nlohmann::json;

using Call = std::tuple<std::string, std::string, std::string>;  // id, name, arguments
using Calls = std::vector<Call>;

std::string chunk(const std::string& calls) {
  return R"({"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":)" + calls + "}}]}";
}
const std::string kFinish = R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})";

// What a client of `to` has of a chat stream whose deltas are these; read from the whole answer.
Calls calls_of(Endpoint to, const std::vector<std::string>& pieces, bool old_form = false) {
  const Format& from = format_of(Endpoint::kChat);
  const auto reader = from.reader();
  WriterSettings settings;
  settings.id = "id";
  settings.request_body = "{}";
  const auto writer = format_of(to).writer(settings);
  StreamFacts facts;
  std::string out;
  for (const std::string& piece : pieces) {
    Parts parts;
    const Chunk read = reader->read({}, old_form ? piece : chunk(piece), facts, &parts);
    EXPECT_EQ(read.kind, Chunk::Kind::kChunk) << piece;
    for (const Part& part : parts) writer->append(out, part);
  }
  Parts parts;
  reader->read({}, kFinish, facts, &parts);
  for (const Part& part : parts) writer->append(out, part);
  writer->end(out);
  Assembler assembler(format_of(to).rules());
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = std::min(out.find('\n', at), out.size());
    const std::string_view line = std::string_view(out).substr(at, end - at);
    if (line.starts_with("data: ")) assembler.add(line.substr(6));
    if (line.starts_with("{")) assembler.add(line);
    at = end + 1;
  }
  const json whole = json::parse(assembler.answer());
  Calls found;
  const auto text = [](const json& arguments) {
    return arguments.is_string() ? arguments.get<std::string>() : arguments.dump();
  };
  switch (to) {
    case Endpoint::kMessages:
      for (const json& block : whole["content"]) found.emplace_back(block["id"], block["name"], text(block["input"]));
      break;
    case Endpoint::kResponses:
      for (const json& item : whole["output"])
        found.emplace_back(item["call_id"], item["name"], text(item["arguments"]));
      break;
    default: {
      const json& message = to == Endpoint::kChat ? whole["choices"][0]["message"] : whole["message"];
      for (const json& call : message["tool_calls"])
        found.emplace_back(call["id"], call["function"]["name"], text(call["function"]["arguments"]));
    }
  }
  return found;
}

constexpr Endpoint kClients[] = {Endpoint::kChat, Endpoint::kMessages, Endpoint::kResponses, Endpoint::kOllamaChat};

// Of chunks in the client's own Dialect, put together.
Calls assembled(const std::vector<std::string>& pieces) {
  Assembler assembler(format_of(Endpoint::kChat).rules());
  for (const std::string& piece : pieces) assembler.add(chunk(piece));
  assembler.add(kFinish);
  const json whole = json::parse(assembler.answer());
  Calls found;
  for (const json& call : whole["choices"][0]["message"]["tool_calls"]) {
    EXPECT_EQ(call["type"], "function");
    EXPECT_FALSE(call.contains("index"));
    const json& arguments = call["function"]["arguments"];
    found.emplace_back(call["id"], call["function"]["name"],
                       arguments.is_string() ? arguments.get<std::string>() : arguments.dump());
  }
  return found;
}

struct Row {
  const char* what;
  std::vector<std::string> pieces;
  Calls calls;
};

const std::string kMade0 = ToolCalls::made_id("c", 0);
const std::string kMade1 = ToolCalls::made_id("c", 1);

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows{
      {"one after the other",
       {R"([{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}])",
        R"([{"index":0,"function":{"arguments":"{\"x\":1}"}}])",
        R"([{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
       {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}}},
      {"arguments that interleave",
       {R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"id":"b","function":{"name":"g","arguments":"{\"y\""}}])",
        R"([{"index":1,"function":{"arguments":":2}"}}])", R"([{"index":0,"function":{"arguments":":1}"}}])"},
       {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}}},
      {"id and name in each piece",
       {R"([{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}])",
        R"([{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":":1"}}])",
        R"([{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"}"}}])"},
       {{"a", "f", R"({"x":1})"}}},
      {"no id", {R"([{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}}])"}, {{kMade0, "f", R"({"x":1})"}}},
      {"an empty id",
       {R"([{"index":0,"id":"","function":{"name":"f","arguments":"{\"x\""}}])",
        R"([{"index":0,"id":"","function":{"name":"","arguments":":1}"}}])",
        R"([{"index":1,"id":"","function":{"name":"g","arguments":"{}"}}])"},
       {{kMade0, "f", R"({"x":1})"}, {kMade1, "g", "{}"}}},
      {"id and name in two pieces",
       {R"([{"index":0,"id":"a"}])", R"([{"index":0,"function":{"name":"f"}}])",
        R"([{"index":0,"function":{"arguments":"{\"x\":1}"}}])"},
       {{"a", "f", R"({"x":1})"}}},
      {"arguments before the name",
       {R"([{"index":0,"id":"a","function":{"arguments":"{\"x\""}}])",
        R"([{"index":0,"function":{"name":"f","arguments":":1}"}}])"},
       {{"a", "f", R"({"x":1})"}}},
      {"two calls under one index",
       {R"([{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}])",
        R"([{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
       {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}}},
      {"no index",
       {R"([{"id":"a","function":{"name":"f","arguments":"{\"x\""}}])", R"([{"function":{"arguments":":1}"}}])",
        R"([{"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
       {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}}},
      {"no index and no id",
       {R"([{"function":{"name":"f","arguments":"{\"x\":1}"}},{"function":{"name":"g","arguments":"{\"y\":2}"}}])"},
       {{kMade0, "f", R"({"x":1})"}, {kMade1, "g", R"({"y":2})"}}},
      {"no arguments",
       {R"([{"index":0,"id":"a","function":{"name":"f","arguments":""}}])",
        R"([{"index":1,"id":"b","function":{"name":"g"}}])"},
       {{"a", "f", "{}"}, {"b", "g", "{}"}}},
      {"arguments as the object that they are",
       {R"([{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}])"},
       {{"a", "f", R"({"x":1})"}}},
      {"an index that is none",
       {R"([{"index":null,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}])",
        R"([{"index":"1","id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}])"},
       {{"a", "f", R"({"x":1})"}, {"b", "g", R"({"y":2})"}}},
  };
  return kRows;
}

TEST(ToolCalls, are_put_together_alike_for_each_dialect) {
  for (const Row& row : rows()) {
    for (const Endpoint to : kClients)
      EXPECT_EQ(calls_of(to, row.pieces), row.calls) << row.what << " for " << row_of(to).path;
    EXPECT_EQ(assembled(row.pieces), row.calls) << row.what << ", assembled";
  }
}

TEST(ToolCalls, the_old_form_is_one_call) {
  const auto delta = [](const std::string& call) {
    return R"({"id":"c","choices":[{"index":0,"delta":{"function_call":)" + call + "}}]}";
  };
  for (const Endpoint to : kClients) {
    const Calls found = calls_of(
        to,
        {delta(R"({"name":"f","arguments":""})"), delta(R"({"arguments":"{\"x\""})"), delta(R"({"arguments":":1}"})")},
        true);
    EXPECT_EQ(found, (Calls{{kMade0, "f", R"({"x":1})"}})) << row_of(to).path;
  }
}

TEST(ToolCalls, each_of_a_whole_answer_is_one_of_its_own) {
  Parts parts;
  const Answer answer = format_of(Endpoint::kChat)
                            .read_answer(R"({"id":"c","choices":[{"message":{"content":null,"tool_calls":[
    {"index":0,"function":{"name":"f","arguments":{"x":1}}},{"index":0,"id":"","function":{"name":"f","arguments":""}}]}}]})",
                                         &parts);
  EXPECT_EQ(answer.kind, Answer::Kind::kGood);
  std::vector<std::string> ids;
  for (const Part& part : parts) {
    if (part.kind == PartKind::kCall) ids.push_back(part.id);
  }
  EXPECT_EQ(ids, (std::vector{kMade0, kMade1}));
}

TEST(ToolCalls, blocks_that_interleave_are_told_apart_by_their_index) {
  const Format& from = format_of(Endpoint::kMessages);
  const std::vector<std::string> events{
      R"({"type":"message_start","message":{"id":"m","model":"x","role":"assistant","content":[],"usage":{}}})",
      R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}})",
      R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"b","name":"g","input":{}}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\""}})",
      R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"y\":2}"}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":":1}"}})",
      R"({"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}})"};
  const auto reader = from.reader();
  StreamFacts facts;
  Parts parts;
  Assembler same(from.rules());
  for (const std::string& event : events) {
    EXPECT_EQ(reader->read({}, event, facts, &parts).kind, Chunk::Kind::kChunk);
    same.add(event);
  }
  EXPECT_TRUE(facts.opaque);
  const json whole = json::parse(same.answer());
  EXPECT_EQ(whole["content"][0]["input"], json::parse(R"({"x":1})"));
  EXPECT_EQ(whole["content"][1]["input"], json::parse(R"({"y":2})"));
  const auto writer = format_of(Endpoint::kOllamaChat).writer({});
  std::string out;
  for (const Part& part : parts) writer->append(out, part);
  writer->end(out);
  EXPECT_NE(out.find(R"("arguments":{"x":1})"), std::string::npos) << out;
  EXPECT_NE(out.find(R"("arguments":{"y":2})"), std::string::npos) << out;
}

}  // namespace
}  // namespace spillway::api
