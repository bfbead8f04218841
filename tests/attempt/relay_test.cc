#include <gtest/gtest.h>

#include "attempt/attempt_loop.h"
#include "attempt/stream_reader.h"
#include "http/client_fixture.h"

namespace spillway::attempt {
namespace {

using http::ClientStatus;
using spillway::testing::Peer;

std::string delta(const std::string& inside, const std::string& finish = "null") {
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":5,"model":"up","choices":[{"index":0,"delta":{)" +
         inside + R"(},"finish_reason":)" + finish + "}]}\n\n";
}
const std::string kRole = delta(R"("role":"assistant","content":"")");
const std::string kOne = delta(R"("content":"one")");
const std::string kTwo = delta(R"("content":"two")");
const std::string kStop = delta("", "\"stop\"");
const std::string kUsage = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

// What a client makes of the events: the data of each on a line.
std::string data_of(std::string_view text) {
  http::SseScanner scanner;
  std::string scratch;
  std::string out;
  while (const std::size_t length = scanner.next(text)) {
    const http::SseEvent event = http::parse_sse_event(text.substr(0, length), scratch);
    if (event.has_data) out.append(event.data).append("\n");
    text.remove_prefix(length);
  }
  return out;
}

// A stream whose response header has been read already.
class ReaderLeg final : public Leg {
 public:
  ReaderLeg(http::ClientConnection& upstream, StreamReader::Limits limits, ClientStatus received)
      : upstream_(upstream), reader_(api::format_of(api::Endpoint::kChat), upstream, limits, received) {}
  Task<Outcome> open() override { return reader_.open(); }
  Task<Pull> next() override { return reader_.next(); }
  Task<> finish() override { co_return; }
  void abort() override { upstream_.abort(); }
  [[nodiscard]] int status() const override { return upstream_.status(); }
  [[nodiscard]] const std::string& content_type() const override { return none_; }
  [[nodiscard]] const std::string& fields() const override { return none_; }
  [[nodiscard]] std::string_view body() const override { return upstream_.body(); }
  [[nodiscard]] const StreamFacts& facts() const override { return reader_.facts(); }
  [[nodiscard]] bool streams() const override { return true; }
  [[nodiscard]] bool asks_for_stream() const override { return true; }
  [[nodiscard]] const api::Format& format() const override { return api::format_of(api::Endpoint::kChat); }
  [[nodiscard]] double first_token_ms() const override { return -1; }
  [[nodiscard]] Record record() const override {
    Record record;
    record.events = reader_.events();
    return record;
  }

 private:
  http::ClientConnection& upstream_;
  StreamReader reader_;
  std::string none_;
};

// From a StreamReader through an AttemptLoop to a StreamDelivery: a scripted upstream on one side, a client that reads
// or does not on the other.
class RelayTest : public http::testing::ClientTest {
 protected:
  void SetUp() override {
    route_.settings.retries = 0;
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(loop_, {asio::ip::make_address("127.0.0.1"), 0});
    client_ = Peer::connect(loop_, acceptor.local_endpoint().port(), /*read=*/false);
    stream_ = std::make_shared<http::Stream>(acceptor.accept());
    stream_->prepare();
    writer_ = std::make_unique<http::ResponseWriter>(*stream_, timers_);
    http::Request request;
    request.http_1_0 = true;  // no chunk framing, so that the client's text is the events alone
    writer_->begin(request, true, write_timeout_);
    connection_ = open();
    ASSERT_EQ(send(connection_, "POST / HTTP/1.1\r\n\r\n"), ClientStatus::kOk);
    config::Backend settings;
    settings.name = "up";
    settings.base_url = "http://127.0.0.1:9";
    route_.targets.push_back({*backend::Backend::make(settings, metrics_.add_thread()), {}, false, {}});
    limits_ = {now() + seconds(60), milliseconds(60'000), Deadline::never(), 1u << 20};
  }

  // Reads the header, then starts the Relay.
  void start(const std::string& head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n") {
    peer().send(head);
    ClientStatus status = ClientStatus::kOk;
    while (!connection_->head_done()) status = run(connection_->receive(soon()));
    delivery_ = std::make_unique<StreamDelivery>(Reply{*writer_, api::format_of(api::Endpoint::kChat),
                                                       [this] { ++commits_; }, [] { return api::WriterSettings{}; }},
                                                 timers_, now());
    attempts_ = std::make_unique<AttemptLoop>(
        route_, limits_.deadline, *delivery_, AttemptLoop::Asked{},
        [this, status](const route::Target&, const api::Resumption*) {
          return std::make_unique<ReaderLeg>(*connection_, limits_, status);
        },
        [] { return now(); }, [](TimePoint) {});
    asio::co_spawn(loop_, attempts_->run(), [this](std::exception_ptr failure, AttemptLoop::End) {
      if (failure) std::rethrow_exception(failure);
      outcome_ = attempts_->tried().back().outcome;
    });
  }
  [[nodiscard]] bool committed() const { return attempts_->answered_by() != nullptr; }
  void upstream_sends(const std::string& bytes) {
    peer().send(bytes);
    ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
    spillway::testing::settle(loop_);
  }
  void upstream_ends() {
    ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
    peer().close();
  }
  OutcomeClass ended() {
    EXPECT_TRUE(run_until([&] { return outcome_.has_value(); }));
    return outcome_ ? outcome_->cls : OutcomeClass::kAbandoned;
  }
  // The events that reached the client, once the Relay has ended.
  std::string events() {
    stream_->close();
    client_->read();
    EXPECT_TRUE(run_until([&] { return client_->ended.has_value(); }));
    const std::size_t end = client_->text.find("\r\n\r\n");
    return end == std::string::npos ? client_->text : client_->text.substr(end + 4);
  }
  // A whole stream, sent in one piece, with the upstream's end behind it.
  std::string relayed(const std::string& text, OutcomeClass wanted) {
    start();
    peer().send(text);
    upstream_ends();
    EXPECT_EQ(ended(), wanted) << outcome_->detail;
    return events();
  }

  milliseconds write_timeout_{60'000};
  std::shared_ptr<Peer> client_;
  std::shared_ptr<http::Stream> stream_;
  std::unique_ptr<http::ResponseWriter> writer_;
  Connection connection_;
  StreamReader::Limits limits_{TimePoint::max(), {}, Deadline::never(), 0};
  record::Metrics metrics_;
  route::Route route_;
  std::unique_ptr<StreamDelivery> delivery_;
  std::unique_ptr<AttemptLoop> attempts_;
  std::optional<Outcome> outcome_;
  int commits_ = 0;
};

TEST_F(RelayTest, a_good_stream_passes_byte_for_byte) {
  const std::string text = kRole + kOne + ": comment\n\n" + kTwo + kStop + kUsage + kDone;
  EXPECT_EQ(relayed(text, OutcomeClass::kAnswered), text);
  EXPECT_EQ(commits_, 1);
  EXPECT_TRUE(committed());
  EXPECT_EQ(attempts_->tried().back().record.events, 6u);
}

TEST_F(RelayTest, an_answer_ends_with_done_and_does_not_wait_for_the_connection) {
  start();
  peer().send(kRole + kOne + kStop + kDone);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered);
  EXPECT_FALSE(peer().ended.has_value());
}

TEST_F(RelayTest, nothing_goes_to_the_client_before_the_first_token) {
  start();
  upstream_sends(": keep-alive\n\n" + kRole + delta(R"("content":"")"));
  EXPECT_EQ(commits_, 0);
  EXPECT_EQ(client_->socket().available(), 0u);
  EXPECT_FALSE(committed());
  upstream_sends(kOne);
  EXPECT_EQ(commits_, 1);
  EXPECT_GT(client_->socket().available(), 0u);
  upstream_sends(kStop + kDone);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered);
  EXPECT_EQ(events(), kRole + delta(R"("content":"")") + kOne + kStop + kDone);
}

TEST_F(RelayTest, each_event_is_passed_on_as_soon_as_it_is_whole) {
  start();
  upstream_sends(kRole + kOne);
  const std::size_t before = client_->socket().available();
  upstream_sends(kTwo.substr(0, 20));
  EXPECT_EQ(client_->socket().available(), before);
  upstream_sends(kTwo.substr(20));
  EXPECT_EQ(client_->socket().available(), before + kTwo.size());
}

TEST_F(RelayTest, keeps_one_role_delta_and_adds_one_that_is_missing) {
  const std::string text = relayed(kOne + kStop + kDone, OutcomeClass::kAnswered);
  EXPECT_TRUE(text.ends_with(kOne + kStop + kDone));
  const std::string added = text.substr(0, text.size() - (kOne + kStop + kDone).size());
  EXPECT_NE(added.find(R"("role":"assistant")"), std::string::npos);
  EXPECT_NE(added.find(R"("id":"c1")"), std::string::npos);
  EXPECT_NE(added.find(R"("model":"up")"), std::string::npos);
  EXPECT_EQ(added.find("data:"), added.rfind("data:"));
}

TEST_F(RelayTest, a_role_in_the_first_token_is_role_enough) {
  const std::string text = delta(R"("role":"assistant","content":"x")") + kStop + kDone;
  EXPECT_EQ(relayed(text, OutcomeClass::kAnswered), text);
}

TEST_F(RelayTest, a_finish_that_is_missing_is_added_before_done) {
  const std::string text = relayed(kRole + kOne + kTwo + kDone, OutcomeClass::kAnswered);
  EXPECT_TRUE(text.starts_with(kRole + kOne + kTwo));
  EXPECT_TRUE(text.ends_with("\"finish_reason\":\"stop\"}]}\n\n" + kDone)) << text;
}

TEST_F(RelayTest, a_done_that_is_missing_is_added_where_a_finish_came) {
  EXPECT_EQ(relayed(kRole + kOne + kStop, OutcomeClass::kAnswered), kRole + kOne + kStop + kDone);
}

TEST_F(RelayTest, usage_without_done_is_kept) {
  EXPECT_EQ(relayed(kRole + kOne + kStop + kUsage, OutcomeClass::kAnswered), kRole + kOne + kStop + kUsage + kDone);
}

TEST_F(RelayTest, a_done_without_its_empty_line_counts) {
  EXPECT_EQ(relayed(kRole + kOne + kStop + "data: [DONE]", OutcomeClass::kAnswered), kRole + kOne + kStop + kDone);
}

TEST_F(RelayTest, an_end_without_finish_and_done_is_a_cut_and_never_a_short_answer) {
  EXPECT_EQ(relayed(kRole + kOne + kTwo, OutcomeClass::kCut), kRole + kOne + kTwo);
}

TEST_F(RelayTest, half_an_event_is_not_passed_on) {
  EXPECT_EQ(relayed(kRole + kOne + kTwo.substr(0, kTwo.size() - 1), OutcomeClass::kCut), kRole + kOne);
}

TEST_F(RelayTest, a_chunked_stream_that_is_cut_is_a_cut) {
  start("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", (kRole + kOne).size());
  peer().send(size + kRole + kOne + "\r\n");
  upstream_ends();
  EXPECT_EQ(ended(), OutcomeClass::kCut);
  EXPECT_EQ(events(), kRole + kOne);
}

TEST_F(RelayTest, a_stream_that_ends_before_its_first_token_leaves_the_client_untouched) {
  for (const auto& [text, cls] :
       {std::pair(std::string(), OutcomeClass::kEmpty), std::pair(kRole, OutcomeClass::kEmpty),
        std::pair(kRole + kStop, OutcomeClass::kEmpty), std::pair(kRole + kStop + kDone, OutcomeClass::kEmpty),
        std::pair(kDone, OutcomeClass::kEmpty), std::pair(std::string(": hi\n\n"), OutcomeClass::kEmpty)}) {
    connection_ = open();
    outcome_.reset();
    start();
    if (!text.empty()) peer().send(text);
    upstream_ends();
    EXPECT_EQ(ended(), cls) << text;
    EXPECT_EQ(commits_, 0) << text;
    EXPECT_FALSE(writer_->begun());
  }
}

TEST_F(RelayTest, an_error_event_before_the_first_token_is_told_and_held_back) {
  EXPECT_EQ(relayed(kRole + "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", OutcomeClass::kServer), "");
  EXPECT_EQ(outcome_->detail, "overloaded");
  EXPECT_EQ(commits_, 0);
}

TEST_F(RelayTest, an_error_event_within_a_stream_ends_it_and_is_not_passed_on) {
  EXPECT_EQ(relayed(kRole + kOne + kTwo + "event: error\ndata: {\"error\":{\"message\":\"broke\"}}\n\n" + kStop + kDone,
                    OutcomeClass::kServer),
            kRole + kOne + kTwo);
  EXPECT_EQ(outcome_->detail, "broke");
}

TEST_F(RelayTest, garbage_within_a_stream_ends_it_and_is_not_passed_on) {
  EXPECT_EQ(relayed(kRole + kOne + "data: <html>\n\n" + kDone, OutcomeClass::kGarbage), kRole + kOne);
}

TEST_F(RelayTest, an_event_with_empty_data_is_no_garbage) {
  EXPECT_EQ(relayed(kRole + kOne + "data:\n\n" + kStop + kDone, OutcomeClass::kAnswered), kRole + kOne + kStop + kDone);
}

TEST_F(RelayTest, a_split_at_any_byte_gives_the_same_stream) {
  const std::string text =
      ": c\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\n" + kStop + kDone;
  std::string first;
  for (std::size_t at = 1; at < text.size(); ++at) {
    TearDown();
    SetUp();
    outcome_.reset();
    start();
    upstream_sends(text.substr(0, at));
    upstream_sends(text.substr(at));
    ASSERT_EQ(ended(), OutcomeClass::kAnswered) << at;
    const std::string got = data_of(events());
    if (first.empty()) first = got;
    ASSERT_EQ(got, first) << at;
    delivery_.reset();
    connection_->abort();
  }
  EXPECT_NE(first.find(R"("role":"assistant")"), std::string::npos);
  EXPECT_TRUE(first.ends_with("[DONE]\n"));
}

TEST_F(RelayTest, lines_that_end_in_cr_pass) {
  std::string text = kRole + kOne + kStop;
  std::replace(text.begin(), text.end(), '\n', '\r');
  EXPECT_EQ(relayed(text + "data: [DONE]\r\r", OutcomeClass::kAnswered), text + kDone);  // [DONE] is our own
}

TEST_F(RelayTest, a_byte_order_mark_does_not_hide_an_event_from_the_client) {
  const std::string text = relayed("\xEF\xBB\xBF" + kOne + kStop + kDone, OutcomeClass::kAnswered);
  EXPECT_NE(text.find("\n\n" + kOne + kStop + kDone), std::string::npos) << text;
}

TEST_F(RelayTest, no_token_by_the_instant_given_is_told_as_such) {
  limits_.first_token_by = now() + milliseconds(40);
  start();
  peer().send(": keep-alive\n\n" + kRole);
  EXPECT_EQ(ended(), OutcomeClass::kFirstToken);
  EXPECT_FALSE(outcome_->deadline);
  EXPECT_EQ(commits_, 0);
}

TEST_F(RelayTest, a_silence_longer_than_idle_is_a_stall) {
  limits_.idle = milliseconds(40);
  start();
  peer().send(kRole + kOne);
  EXPECT_EQ(ended(), OutcomeClass::kStall);
  EXPECT_EQ(events(), kRole + kOne);
}

TEST_F(RelayTest, comments_do_not_put_off_the_stall) {
  limits_.idle = milliseconds(60);
  start();
  peer().send(kRole + kOne);
  LoopTimers::Entry timer(timers_, [&] {
    peer().send(": still here\n\n");
    timer.arm(now() + milliseconds(10));
  });
  timer.arm(now());
  EXPECT_EQ(ended(), OutcomeClass::kStall);
}

TEST_F(RelayTest, a_trickle_below_the_floor_is_too_slow_though_it_never_stalls) {
  limits_.pace = Pace(100, milliseconds(100));  // ten tokens in each tenth of a second
  start();
  peer().send(kRole + kOne);
  LoopTimers::Entry timer(timers_, [&] {
    peer().send(kOne);
    timer.arm(now() + milliseconds(20));
  });
  timer.arm(now());
  EXPECT_EQ(ended(), OutcomeClass::kSlow);
  EXPECT_GE(events().size(), kRole.size() + 3 * kOne.size());
}

TEST_F(RelayTest, the_deadline_ends_a_stream_that_goes_on) {
  limits_.deadline = Deadline::after(milliseconds(60), now());
  start();
  peer().send(kRole + kOne);
  LoopTimers::Entry timer(timers_, [&] {
    peer().send(kTwo);
    timer.arm(now() + milliseconds(10));
  });
  timer.arm(now());
  EXPECT_EQ(ended(), OutcomeClass::kAbandoned);
  EXPECT_TRUE(outcome_->deadline);
}

TEST_F(RelayTest, a_silence_after_the_finish_is_a_whole_answer) {
  limits_.idle = milliseconds(40);
  start();
  peer().send(kRole + kOne + kStop);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered);
  EXPECT_EQ(events(), kRole + kOne + kStop + kDone);
}

TEST_F(RelayTest, an_event_beyond_the_limit_is_given_up) {
  limits_.max_event = 1000;
  EXPECT_EQ(relayed(kRole + kOne + "data: " + std::string(5000, 'x'), OutcomeClass::kGarbage), kRole + kOne);
}

TEST_F(RelayTest, what_is_held_before_the_first_token_is_bounded) {
  limits_.max_event = 1000;
  std::string roles;
  for (int i = 0; i < 50; ++i) roles += kRole;
  EXPECT_EQ(relayed(roles + kOne, OutcomeClass::kGarbage), "");
  EXPECT_EQ(commits_, 0);
}

TEST_F(RelayTest, an_event_of_a_mebibyte_passes) {
  limits_.max_event = 2u << 20;
  const std::string big = delta("\"content\":\"" + std::string(1u << 20, 'x') + "\"");
  start();
  client_->read();
  peer().send(kRole + big + kStop + kDone);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered);
  EXPECT_EQ(events(), kRole + big + kStop + kDone);
}

TEST_F(RelayTest, a_client_that_leaves_ends_it_and_is_nobodys_fault) {
  start();
  upstream_sends(kRole + kOne);
  client_->reset();
  for (int i = 0; i < 1000 && !outcome_; ++i) upstream_sends(kTwo);
  EXPECT_EQ(ended(), OutcomeClass::kAbandoned);
}

TEST_F(RelayTest, an_abort_from_outside_is_nobodys_fault) {
  start();
  upstream_sends(kRole + kOne);
  connection_->abort();
  EXPECT_EQ(ended(), OutcomeClass::kAbandoned);
}

// The chain of docs/flow-control.md: the client's socket fills, the Relay waits in its write and
// does not read, the upstream's socket fills, the upstream cannot send.
TEST_F(RelayTest, the_upstream_is_not_read_while_the_client_does_not_read) {
  start();
  std::string large = kRole;
  while (large.size() < (48u << 20)) large += delta("\"content\":\"" + std::string(8000, 'y') + "\"");
  peer().send(large);
  spillway::testing::settle(loop_);
  EXPECT_FALSE(peer().all_sent());
  EXPECT_FALSE(outcome_.has_value());
  EXPECT_LT(connection_->body().size(), 1u << 20);
  client_->read();
  ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
  peer().send(kStop + kDone);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered);
  EXPECT_EQ(events().size(), (large + kStop + kDone).size());
}

TEST_F(RelayTest, time_that_a_slow_client_takes_is_no_silence_of_the_upstream) {
  limits_.idle = milliseconds(60);
  start();
  std::string large = kRole;
  while (large.size() < (48u << 20)) large += delta("\"content\":\"" + std::string(8000, 'y') + "\"");
  peer().send(large);
  spillway::testing::settle(loop_);
  ASSERT_FALSE(peer().all_sent());
  bool over = false;
  LoopTimers::Entry timer(timers_, [&] { over = true; });
  timer.arm(now() + 3 * limits_.idle);
  ASSERT_TRUE(run_until([&] { return over; }));
  EXPECT_FALSE(outcome_.has_value());
  client_->read();
  peer().send(kStop + kDone);
  EXPECT_EQ(ended(), OutcomeClass::kAnswered) << outcome_->detail;
}

}  // namespace
}  // namespace spillway::attempt
