// A whole answer out of the events of a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/json_draft.h"

namespace spillway::api {

// What a Dialect's events make of the answer so far.
class AnswerRules {
 public:
  virtual ~AnswerRules() = default;
  virtual void add(JsonTree::Value event, JsonDraft& answer) = 0;
  // What the whole answer still lacks.
  virtual void finish(JsonDraft&) {}
};

// One for all Dialects: members that nobody thought of stay, numbers and texts are as they were written.
class Assembler {
 public:
  explicit Assembler(std::unique_ptr<AnswerRules> rules) : rules_(std::move(rules)) {}

  // The data of an event, as JsonTree reads it; what is no object adds nothing.
  void add(std::string_view data) {
    if (tree_.parse(data)) rules_->add(tree_.root(), answer_);
  }
  // The answer, as JSON text; nothing may be added any more.
  [[nodiscard]] std::string answer() {
    rules_->finish(answer_);
    return answer_.to_json();
  }
  // About so many bytes are held.
  [[nodiscard]] std::size_t size() const { return answer_.size(); }

 private:
  std::unique_ptr<AnswerRules> rules_;
  JsonTree tree_;
  JsonDraft answer_;
};

}  // namespace spillway::api
