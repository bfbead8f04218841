#include "api/ordered_writer.h"

#include <unordered_map>
#include <utility>

namespace spillway::api {

namespace {

class OrderedWriter final : public StreamWriter {
 public:
  OrderedWriter(std::unique_ptr<StreamWriter> writer, bool interleaves)
      : writer_(std::move(writer)), interleaves_(interleaves) {}

  void go_on_from(const StreamFacts& facts) override { writer_->go_on_from(facts); }
  [[nodiscard]] std::string keep_alive() override { return writer_->keep_alive(); }
  [[nodiscard]] std::string note(std::string_view json) override { return writer_->note(json); }
  [[nodiscard]] std::size_t held() const override { return held_ + writer_->held(); }
  void fail(std::string& out, const ApiError& error) override { writer_->fail(out, error); }

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kUsage: return writer_->append(out, part);
      case PartKind::kFinish: end_calls(out); return writer_->append(out, part);
      case PartKind::kCall: return begin_call(out, part);
      case PartKind::kArguments: return add_arguments(out, part);
      default:
        if (calls_.empty() || interleaves_) return writer_->append(out, part);
        held_ += part.text.size() + sizeof(Part);
        if (!kept_.empty() && kept_.back().kind == part.kind && part.kind != PartKind::kLogprobs) {
          kept_.back().text += part.text;
        } else {
          kept_.push_back(part);
        }
        return;
    }
  }

  void end(std::string& out) override {
    end_calls(out);
    writer_->end(out);
  }

 private:
  // In the order in which they began.
  struct Call {
    std::int64_t index = 0;
    bool live = false;
    bool has_arguments = false;
    std::size_t kept = 0;  // where its arguments are, of kept_
  };

  void begin_call(std::string& out, const Part& part) {
    const auto [at, is_new] = by_index_.emplace(part.index, calls_.size());
    if (!is_new) return;
    Call call{part.index, interleaves_ || calls_.empty(), false, 0};
    if (call.live) {
      writer_->append(out, part);
    } else {
      kept_.push_back(part);
      held_ += part.id.size() + part.name.size() + 2 * sizeof(Part);
      call.kept = kept_.size();
      kept_.push_back({.kind = PartKind::kArguments, .index = part.index});
    }
    calls_.push_back(call);
  }

  void add_arguments(std::string& out, const Part& part) {
    const auto found = by_index_.find(part.index);
    if (found == by_index_.end() || part.text.empty()) return;
    Call& call = calls_[found->second];
    call.has_arguments = true;
    if (call.live) return writer_->append(out, part);
    kept_[call.kept].text += part.text;
    held_ += part.text.size();
  }

  void end_calls(std::string& out) {
    for (const Call& call : calls_) {
      if (call.has_arguments) continue;
      const Part none{.kind = PartKind::kArguments, .index = call.index, .text = "{}"};
      if (call.live) {
        writer_->append(out, none);
      } else {
        kept_[call.kept].text = none.text;
      }
    }
    for (const Part& part : kept_) writer_->append(out, part);
    calls_.clear();
    by_index_.clear();
    kept_.clear();
    held_ = 0;
  }

  std::unique_ptr<StreamWriter> writer_;
  bool interleaves_;
  std::vector<Call> calls_;
  std::unordered_map<std::int64_t, std::size_t> by_index_;
  Parts kept_;
  std::size_t held_ = 0;  // bytes of them, about
};

}  // namespace

std::unique_ptr<StreamWriter> in_order(std::unique_ptr<StreamWriter> writer) {
  return std::make_unique<OrderedWriter>(std::move(writer), false);
}

std::unique_ptr<StreamWriter> with_arguments(std::unique_ptr<StreamWriter> writer) {
  return std::make_unique<OrderedWriter>(std::move(writer), true);
}

}  // namespace spillway::api
