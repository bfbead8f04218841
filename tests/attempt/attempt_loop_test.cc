// The loop with scripted Legs, a recording Delivery and a clock of the test's own: no sockets, no waiting.
#include "attempt/attempt_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <stdexcept>

namespace spillway::attempt {
namespace {

using ::testing::ElementsAre;
using C = OutcomeClass;
using End = AttemptLoop::End;

struct Script {
  Outcome opened;  // kAnswered: `pieces` follow, then `ended`
  std::vector<std::string> pieces;
  Outcome ended{C::kAnswered, 200, {}};
  Duration takes{};                    // of the test's clock, to open
  bool hangs = false;                  // open() does not end before abort()
  bool throws = false;                 // open() does
  std::string text = {};               // what facts() tell of the answer
  std::size_t calls_from = 1'000'000;  // the first piece with a tool call
};

Script answers(std::vector<std::string> pieces) { return {{C::kAnswered, 200, {}}, std::move(pieces)}; }
Script fails(C cls, int status = 0) { return {{cls, status, "because"}, {}}; }

class ScriptedLeg final : public Leg {
 public:
  ScriptedLeg(Script script, TimePoint& clock) : script_(std::move(script)), clock_(clock) {
    facts_.text = script_.text;
  }
  Task<Outcome> open() override {
    clock_ += script_.takes;
    if (script_.hangs) {
      co_await going_on_.wait();
      if (aborted_) co_return Outcome{C::kAbandoned, 0, "the client left"};
    }
    if (script_.throws) throw std::runtime_error("a fault of ours");
    co_return script_.opened;
  }
  Task<Pull> next() override {
    Pull pull;
    if (at_ < script_.pieces.size()) pull.bytes = script_.pieces[at_++];
    pull.calls = at_ > script_.calls_from;
    if (at_ == script_.pieces.size()) pull.end = &script_.ended;
    co_return pull;
  }
  Task<> finish() override {
    finished = true;
    co_return;
  }
  void abort() override {
    aborted_ = true;
    going_on_.notify();
  }
  void open_now() { going_on_.notify(); }
  [[nodiscard]] int status() const override { return script_.opened.status; }
  [[nodiscard]] const std::string& content_type() const override { return none_; }
  [[nodiscard]] const std::string& fields() const override { return none_; }
  [[nodiscard]] std::string_view body() const override { return "refusal"; }
  [[nodiscard]] const StreamFacts& facts() const override { return facts_; }
  [[nodiscard]] bool streams() const override { return true; }
  [[nodiscard]] bool asks_for_stream() const override { return true; }
  [[nodiscard]] const api::Format& format() const override { return api::format_of(api::Endpoint::kChat); }
  [[nodiscard]] double first_token_ms() const override { return 100; }
  [[nodiscard]] Record record() const override { return {}; }

  bool finished = false;

 private:
  Script script_;
  TimePoint& clock_;
  Event going_on_;
  bool aborted_ = false;
  StreamFacts facts_;
  std::string none_;
  std::size_t at_ = 0;
};

class RecordingDelivery final : public Delivery {
 public:
  Task<bool> take(const Leg&, std::string_view bytes) override {
    text += bytes;
    co_return ++takes < leaves_after;
  }
  void hold() override { text += "|held|"; }
  [[nodiscard]] bool shown() const override { return !whole && takes > 0; }
  void forget() override { text.clear(); }
  Task<bool> note(std::string_view json) override {
    text += "|" + std::string(json) + "|";
    co_return true;
  }
  Task<bool> take_parts(const Leg&, const StreamFacts& first, const api::Parts& parts) override {
    api::WriterSettings settings;
    const auto writer = api::format_of(api::Endpoint::kChat).writer(settings);
    writer->go_on_from(first);
    for (const api::Part& part : parts) writer->append(text, part);
    co_return ++takes < leaves_after;
  }
  Task<bool> end(const Leg&) override {
    text += "|end";
    co_return true;
  }
  Task<bool> refuse(const Leg&, std::string_view body, const api::ApiError& in_band) override {
    text += "|" + std::to_string(in_band.status) + " " + std::string(in_band.code) + " " + std::string(body);
    co_return true;
  }
  Task<> fail(const api::ApiError& error) override {
    text += "|" + std::to_string(error.status) + " " + error.message;
    co_return;
  }

  std::string text;
  int takes = 0;
  int leaves_after = 1'000'000;
  bool whole = false;  // as an answer in one piece: nothing is shown before its end
};

class AttemptLoopTest : public ::testing::Test {
 protected:
  // Runs the loop over one Target for each script.
  End run(std::vector<Script> scripts, Duration deadline = seconds(60)) {
    start(std::move(scripts), deadline);
    io_.restart();
    io_.poll();
    EXPECT_TRUE(end_.has_value());
    return end_.value_or(End::kAllFailed);
  }
  void start(std::vector<Script> scripts, Duration deadline = seconds(60)) {
    scripts_.assign(scripts.begin(), scripts.end());
    route_.targets.clear();
    for (std::size_t i = 0; i < scripts.size(); ++i) {
      config::Backend settings;
      settings.name = std::string(1, static_cast<char>('a' + i));
      settings.base_url = "http://127.0.0.1:9";
      settings.api_key.value = "sk-secret";
      route::Target target;
      target.backend = *backend::Backend::make(settings, metrics_.add_thread());
      target.load = &target.backend->condition().load("");
      route_.targets.push_back(std::move(target));
    }
    restart(route_, deadline);
  }
  // Another Exchange on `route`.
  void restart(const route::Route& route, Duration deadline = seconds(60)) {
    delivery_.text.clear();
    delivery_.takes = 0;
    loop_ = std::make_unique<AttemptLoop>(
        route, Deadline::after(deadline, clock_), delivery_, asked_,
        [this](const route::Target&, const api::Resumption*) {
          auto leg = std::make_unique<ScriptedLeg>(scripts_.front(), clock_);
          if (scripts_.front().hangs) last_ = leg.get();
          if (scripts_.size() > 1) scripts_.pop_front();  // the last one repeats
          return leg;
        },
        [this] { return clock_; },
        [this](TimePoint at) {
          asio::post(io_, [this, at] {
            clock_ = std::max(clock_, at);
            loop_->wake();
          });
        });
    loop_->on_attempt_end([this](backend::Backend& backend, const AttemptLoop::Tried& tried) {
      told_.push_back(backend.name() + " " + std::string(to_word(tried.outcome.cls)));
    });
    asio::co_spawn(io_, loop_->run(), [this](std::exception_ptr failure, End end) {
      if (failure) std::rethrow_exception(failure);
      end_ = end;
    });
  }

  AttemptLoopTest() { route_.settings.retries = 0; }

  AttemptLoop::Asked asked_;
  ScriptedLeg* last_ = nullptr;  // that hangs

  asio::io_context io_{1};
  record::Metrics metrics_;
  route::Route route_;
  TimePoint clock_{seconds(1000)};
  std::deque<Script> scripts_;
  RecordingDelivery delivery_;
  std::unique_ptr<AttemptLoop> loop_;
  std::vector<std::string> told_;
  std::optional<End> end_;
};

TEST_F(AttemptLoopTest, the_first_that_answers_is_delivered_piece_by_piece) {
  EXPECT_EQ(run({answers({"one ", "two"}), answers({"never"})}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "one two|end");
  EXPECT_EQ(loop_->answered_by()->name(), "a");
  EXPECT_THAT(told_, ElementsAre("a answered"));
}

TEST_F(AttemptLoopTest, a_warm_replica_is_left_when_its_first_token_would_come_too_late) {
  const std::string prompt(8'000, 'p');
  const route::Beginning beginning(prompt);
  asked_.beginning = &beginning;
  asked_.input_tokens = 2'000;
  const auto map = std::make_shared<route::PrefixMap>();
  route_.groups = {{0, 2, map}};
  run({answers({"x"}), answers({"x"})});
  const std::string warm(loop_->answered_by()->name());
  for (int i = 0; i < 5; ++i) {
    restart(route_);
    io_.restart();
    io_.poll();
    ASSERT_EQ(loop_->answered_by()->name(), warm);
  }
  const std::size_t which = warm == "a" ? 0 : 1;
  for (int i = 0; i < 50; ++i) route_.targets[which].load->note(seconds(11), false, clock_);  // of 10 that there are
  restart(route_);
  io_.restart();
  io_.poll();
  EXPECT_NE(loop_->answered_by()->name(), warm);
}

TEST_F(AttemptLoopTest, every_failure_before_the_first_token_is_the_next_ones_turn) {
  for (const C cls : {C::kResolve, C::kConnect, C::kTls, C::kTimeout, C::kFirstToken, C::kCut, C::kGarbage, C::kEmpty,
                      C::kOverload, C::kRateLimited, C::kServer, C::kConfig, C::kNoModel}) {
    delivery_.text.clear();
    told_.clear();
    EXPECT_EQ(run({fails(cls), fails(C::kOverload, 503), answers({"third"})}), End::kAnswered);
    EXPECT_EQ(delivery_.text, "third|end");
    EXPECT_THAT(told_, ElementsAre("a " + std::string(to_word(cls)), "b overload", "c answered"));
  }
}

TEST_F(AttemptLoopTest, when_all_have_failed_the_client_has_nothing) {
  EXPECT_EQ(run({fails(C::kOverload, 503), fails(C::kConnect)}), End::kAllFailed);
  EXPECT_EQ(delivery_.text, "");
  EXPECT_EQ(loop_->answered_by(), nullptr);
  EXPECT_EQ(loop_->tried().size(), 2u);
}

TEST_F(AttemptLoopTest, a_refusal_of_the_request_itself_is_passed_through_and_ends_it) {
  Script refusal = fails(C::kClient, 400);
  refusal.opened.refusal.code = "content_filter";
  refusal.opened.refusal.as_it_came = true;
  EXPECT_EQ(run({fails(C::kOverload, 503), refusal, answers({"never"})}), End::kRefused);
  EXPECT_EQ(delivery_.text, "|400 content_filter refusal");
  EXPECT_EQ(loop_->answered_by()->name(), "b");
}

TEST_F(AttemptLoopTest, a_refusal_that_is_no_json_is_told_in_our_own_words) {
  Script refusal = fails(C::kClient, 413);
  refusal.opened.detail = "an HTML page";
  EXPECT_EQ(run({refusal, answers({"never"})}), End::kRefused);
  EXPECT_EQ(delivery_.text, "|413 a refused the request with 413: an HTML page");
}

std::string event(const std::string& text) {
  return R"(data: {"id":"x","choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n";
}

// A stream that has sent `text` and breaks.
Script breaks_after(const std::string& text) {
  Script script = answers({text});
  script.text = text;
  script.ended = {C::kCut, 200, "the connection was closed"};
  return script;
}

TEST_F(AttemptLoopTest, a_break_after_the_first_token_is_continued_by_the_next_that_can) {
  EXPECT_EQ(run({breaks_after("half an "), fails(C::kOverload, 503), answers({event("half an answer")})}),
            End::kAnswered);
  EXPECT_TRUE(
      delivery_.text.starts_with(R"(half an |{"event":"resume","backend":"c","at_chars":8,"reason":"cut"}|data: )"))
      << delivery_.text;
  EXPECT_NE(delivery_.text.find(R"("content":"answer")"), std::string::npos) << delivery_.text;
  EXPECT_THAT(told_, ElementsAre("a cut", "b overload", "c answered"));
  EXPECT_EQ(loop_->answered_by()->name(), "a");
}

TEST_F(AttemptLoopTest, a_target_is_asked_again_as_often_as_the_route_says_and_then_the_next) {
  route_.settings.retries = 2;
  EXPECT_EQ(run({fails(C::kOverload, 503), fails(C::kCut), fails(C::kServer, 500), answers({"four"})}), End::kAnswered);
  EXPECT_THAT(told_, ElementsAre("a overload", "a cut", "a server", "b answered"));
}

TEST_F(AttemptLoopTest, a_retry_after_that_may_be_waited_for_is) {
  route_.settings.retry_after_wait = seconds(2);
  Script limited = fails(C::kRateLimited, 429);
  limited.opened.refusal.retry_after = milliseconds(1500);
  const TimePoint before = clock_;
  EXPECT_EQ(run({limited, answers({"there"})}), End::kAnswered);
  EXPECT_THAT(told_, ElementsAre("a rate_limited", "a answered"));
  EXPECT_EQ(clock_, before + milliseconds(1500));
}

TEST_F(AttemptLoopTest, a_backend_that_asks_for_a_rest_is_left_alone_by_the_next_exchange_too) {
  Script limited = fails(C::kRateLimited, 429);
  limited.opened.refusal.retry_after = seconds(30);
  EXPECT_EQ(run({limited, answers({"b"})}), End::kAnswered);
  const auto rests = route_.targets[0].backend->condition().rests_until();
  EXPECT_EQ(rests, clock_ + seconds(30));
}

TEST_F(AttemptLoopTest, tool_calls_are_held_until_the_end_and_dropped_with_a_break) {
  Script calls = answers({"text ", "call ", "more "});
  calls.calls_from = 1;
  EXPECT_EQ(run({calls}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "text |held|call more |end");
}

TEST_F(AttemptLoopTest, a_break_before_anything_was_shown_is_asked_anew) {
  Script calls = answers({"call ", "more "});
  calls.calls_from = 0;
  calls.ended = {C::kCut, 200, "the connection was closed"};
  EXPECT_EQ(run({calls, answers({"the whole"})}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "the whole|end");
  EXPECT_EQ(loop_->answered_by()->name(), "b");
}

TEST_F(AttemptLoopTest, a_whole_answer_is_never_continued_without_proof) {
  delivery_.whole = true;
  start({breaks_after("half an answer, and more of it "), answers({event("other words")})});
  scripts_.push_back(answers({"the whole"}));  // b, asked anew
  io_.poll();
  EXPECT_EQ(end_, End::kAnswered);
  EXPECT_THAT(told_, ElementsAre("a cut", "b mismatch", "b answered"));
  EXPECT_EQ(delivery_.text, "the whole|end");
}

TEST_F(AttemptLoopTest, a_whole_answer_that_nobody_could_end_has_no_author) {
  delivery_.whole = true;
  EXPECT_EQ(run({breaks_after("half an "), fails(C::kOverload, 503)}), End::kAllFailed);
  EXPECT_EQ(loop_->answered_by(), nullptr);
}

TEST_F(AttemptLoopTest, another_answer_is_never_put_behind_one_that_broke) {
  EXPECT_EQ(run({breaks_after("half an "), answers({event("a whole one")})}), End::kBroken);
  EXPECT_EQ(delivery_.text, "half an ");
  EXPECT_EQ(loop_->why_not_resumed(), "no other Target could go on");
}

TEST_F(AttemptLoopTest, a_break_that_may_not_be_continued_says_why_and_asks_nobody) {
  route_.settings.resume = false;
  EXPECT_EQ(run({breaks_after("half "), answers({"never"})}), End::kBroken);
  EXPECT_EQ(loop_->why_not_resumed(), "the Route says resume = false");
  EXPECT_EQ(loop_->tried().size(), 1u);
}

TEST_F(AttemptLoopTest, a_deadline_that_passes_during_a_resume_ends_it) {
  Script slow = fails(C::kFirstToken);
  slow.takes = seconds(40);
  EXPECT_EQ(run({breaks_after("half "), slow, slow, answers({"never"})}, seconds(60)), End::kDeadline);
}

TEST_F(AttemptLoopTest, one_deadline_holds_over_all_attempts) {
  Script slow = fails(C::kFirstToken);
  slow.takes = seconds(40);
  EXPECT_EQ(run({slow, slow, answers({"never"})}, seconds(60)), End::kDeadline);
  EXPECT_EQ(loop_->tried().size(), 2u);
  EXPECT_EQ(delivery_.text, "");
}

TEST_F(AttemptLoopTest, a_deadline_that_passes_within_an_attempt_is_nobodys_next_turn) {
  Script late = fails(C::kAbandoned);
  late.opened.deadline = true;
  EXPECT_EQ(run({late, answers({"never"})}), End::kDeadline);
  EXPECT_EQ(loop_->tried().size(), 1u);
}

TEST_F(AttemptLoopTest, a_client_that_leaves_ends_what_is_under_way_and_asks_nobody_else) {
  Script hangs;
  hangs.hangs = true;
  start({hangs, answers({"never"})});
  io_.poll();
  EXPECT_FALSE(end_.has_value());
  loop_->abort();
  io_.restart();
  io_.poll();
  ASSERT_TRUE(end_.has_value());
  EXPECT_EQ(*end_, End::kClientGone);
  EXPECT_THAT(told_, ElementsAre("a abandoned"));
}

TEST_F(AttemptLoopTest, a_client_that_takes_no_more_ends_it_as_nobodys_fault) {
  delivery_.leaves_after = 2;
  EXPECT_EQ(run({answers({"one ", "two ", "three"}), answers({"never"})}), End::kClientGone);
  EXPECT_EQ(delivery_.text, "one two ");
  EXPECT_THAT(told_, ElementsAre("a abandoned"));
}

TEST_F(AttemptLoopTest, a_client_that_left_before_it_began_asks_nobody) {
  start({answers({"never"})});
  loop_->abort();
  io_.poll();
  ASSERT_TRUE(end_.has_value());
  EXPECT_EQ(*end_, End::kClientGone);
  EXPECT_TRUE(loop_->tried().empty());
}

TEST_F(AttemptLoopTest, a_secret_in_what_an_upstream_says_is_masked) {
  Script leaks = fails(C::kServer, 500);
  leaks.opened.detail = "bad key sk-secret";
  EXPECT_EQ(run({leaks}), End::kAllFailed);
  EXPECT_EQ(loop_->tried().back().outcome.detail, "bad key ***");
}

// Two Targets, the first of which is slow.
class Hedged : public AttemptLoopTest {
 protected:
  Hedged() { route_.hedge_after = milliseconds(500), route_.settings.hedge = "500ms"; }
  static Script hangs() {
    Script script = answers({"late"});
    script.hangs = true;
    return script;
  }
};

TEST_F(Hedged, when_the_first_is_late_the_next_one_is_asked_and_whoever_is_first_answers) {
  EXPECT_EQ(run({hangs(), answers({"from b"})}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "from b|end");
  EXPECT_EQ(loop_->answered_by()->name(), "b");
  EXPECT_THAT(told_, ElementsAre("a outrun", "b answered"));
  EXPECT_TRUE(loop_->tried()[1].hedge);
  EXPECT_FALSE(loop_->tried()[0].hedge);
  EXPECT_EQ(clock_, TimePoint(seconds(1000)) + milliseconds(500));
}

TEST_F(Hedged, one_that_answers_in_time_is_alone) {
  EXPECT_EQ(run({answers({"from a"}), answers({"never"})}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "from a|end");
  EXPECT_THAT(told_, ElementsAre("a answered"));
}

TEST_F(Hedged, a_hedge_that_fails_leaves_the_first_one_to_answer) {
  start({hangs(), fails(C::kOverload, 503)});
  io_.poll();
  EXPECT_FALSE(end_);
  last_->open_now();
  io_.restart();
  io_.poll();
  EXPECT_EQ(end_, End::kAnswered);
  EXPECT_EQ(delivery_.text, "late|end");
  EXPECT_THAT(told_, ElementsAre("b overload", "a answered"));
}

TEST_F(AttemptLoopTest, an_exception_ends_its_attempt_alone) {
  Script faulty = answers({"never"});
  faulty.throws = true;
  const std::uint64_t before = bugs();
  EXPECT_EQ(run({faulty, answers({"from b"})}), End::kAnswered);
  EXPECT_EQ(delivery_.text, "from b|end");
  EXPECT_THAT(told_, ElementsAre("a internal", "b answered"));
  EXPECT_EQ(bugs(), before + 1);
  EXPECT_EQ(run({faulty, faulty}), End::kAllFailed);
}

TEST_F(AttemptLoopTest, a_target_that_a_reload_has_replaced_ends_the_search) {
  EXPECT_EQ(run({fails(C::kOverload, 503), fails(C::kReplaced), answers({"never"})}), End::kReplaced);
  EXPECT_THAT(told_, ElementsAre("a overload", "b replaced"));
}

TEST_F(Hedged, an_exception_in_a_race_leaves_the_other_one_to_answer) {
  Script faulty = answers({"never"});
  faulty.throws = true;
  start({hangs(), faulty});
  io_.poll();
  EXPECT_FALSE(end_);
  last_->open_now();
  io_.restart();
  io_.poll();
  EXPECT_EQ(end_, End::kAnswered);
  EXPECT_EQ(delivery_.text, "late|end");
  EXPECT_THAT(told_, ElementsAre("b internal", "a answered"));
}

TEST_F(Hedged, both_may_fail_and_the_third_is_asked) {
  Script slow = fails(C::kFirstToken, 200);
  slow.hangs = true;
  start({slow, fails(C::kConnect), answers({"from c"})});
  io_.poll();
  last_->open_now();
  io_.restart();
  io_.poll();
  EXPECT_EQ(end_, End::kAnswered);
  EXPECT_EQ(delivery_.text, "from c|end");
  EXPECT_THAT(told_, ElementsAre("a first_token", "b connect", "c answered"));
}

TEST_F(Hedged, the_client_leaves_and_both_end) {
  start({hangs(), hangs()});
  io_.poll();
  ASSERT_EQ(loop_->tried().size(), 2u);
  loop_->abort();
  io_.restart();
  io_.poll();
  EXPECT_EQ(end_, End::kClientGone);
  EXPECT_THAT(told_, ::testing::UnorderedElementsAre("a abandoned", "b abandoned"));
}

TEST_F(Hedged, a_request_that_leaves_something_behind_is_asked_once) {
  asked_.repeatable = false;
  start({hangs(), answers({"never"})});
  io_.poll();
  EXPECT_EQ(loop_->tried().size(), 1u);
  loop_->abort();
  io_.restart();
  io_.poll();
}

TEST_F(Hedged, the_budget_of_the_slow_one_is_kept) {
  int hedges = 0;
  start({hangs(), answers({"from b"})});
  io_.poll();
  const route::Route route = route_;
  route.targets[0].backend->condition().hedge_budget().set(0.05, 10);
  for (int i = 0; i < 1'000; ++i) {
    end_.reset();
    scripts_ = {hangs(), answers({"from b"})};
    restart(route);
    io_.restart();
    io_.poll();
    hedges += loop_->tried().size() == 2 ? 1 : 0;
    if (!end_) loop_->abort();
    io_.restart();
    io_.poll();
  }
  EXPECT_LE(hedges, 50 + 10);
  EXPECT_GE(hedges, 50);
}

TEST_F(Hedged, auto_learns_when_it_is_late) {
  route_.hedge_after = milliseconds(0), route_.settings.hedge = "auto";
  start({hangs(), answers({"from b"})});
  io_.poll();
  EXPECT_EQ(loop_->tried().size(), 1u);  // nothing is known yet
  loop_->abort();
  io_.restart();
  io_.poll();
  const route::Route route = route_;
  for (int i = 0; i < 100; ++i) route.targets[0].load->note(milliseconds(i < 95 ? 200 : 900), false, clock_);
  const TimePoint before = clock_;
  end_.reset();
  scripts_ = {hangs(), answers({"from b"})};
  restart(route);
  io_.restart();
  io_.poll();
  EXPECT_EQ(end_, End::kAnswered);
  EXPECT_EQ(delivery_.text, "from b|end");
  EXPECT_GE(clock_ - before, milliseconds(200));
  EXPECT_LE(clock_ - before, milliseconds(220));
}

}  // namespace
}  // namespace spillway::attempt
