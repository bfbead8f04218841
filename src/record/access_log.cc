#include "record/access_log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <thread>

#include "base/json_text.h"
#include "base/log.h"
#include "base/mutex.h"

namespace spillway::record {

namespace {

void append_time(std::string& out, std::chrono::system_clock::time_point at) {
  // The part up to the second changes seldom.
  thread_local std::time_t made = 0;
  thread_local char text[32];
  thread_local std::size_t length = 0;
  const std::time_t second = std::chrono::system_clock::to_time_t(at);
  if (second != made) {
    std::tm parts{};
    gmtime_r(&second, &parts);
    length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
    made = second;
  }
  const auto ms = std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count() % 1000;
  out.append("\"").append(text, length);
  out.push_back(static_cast<char>('0' + ms / 100));
  out.push_back(static_cast<char>('0' + ms / 10 % 10));
  out.push_back(static_cast<char>('0' + ms % 10));
  out += "Z\"";
}

void text_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":");
  json::append_string(out, value);
}

void number_field(std::string& out, std::string_view name, double value) {
  out.append(",\"").append(name).append("\":");
  json::append_number(out, value, 3);
}

void count_field(std::string& out, std::string_view name, std::uint64_t value) {
  out.append(",\"").append(name).append("\":");
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

}  // namespace

void append_line(std::string& out, const ExchangeLine& line, std::chrono::system_clock::time_point at) {
  out += "{\"time\":";
  append_time(out, at);
  text_field(out, "request_id", line.request_id);
  text_field(out, "client", line.client);
  text_field(out, "method", line.method);
  text_field(out, "path", line.path);
  text_field(out, "route", line.route);
  text_field(out, "model", line.model);
  out += line.stream ? ",\"stream\":true" : ",\"stream\":false";
  count_field(out, "status", static_cast<std::uint64_t>(line.status));
  if (!line.error.empty()) text_field(out, "error", line.error);
  if (!line.backend.empty()) text_field(out, "backend", line.backend);
  if (line.first_token_ms >= 0) number_field(out, "first_token_ms", line.first_token_ms);
  number_field(out, "total_ms", line.total_ms);
  count_field(out, "bytes_in", line.bytes_in);
  count_field(out, "bytes_out", line.bytes_out);
  if (line.stream) count_field(out, "events", line.events);
  out += ",\"attempts\":[";
  bool first = true;
  for (const AttemptLine& attempt : line.attempts) {
    out += first ? "{\"backend\":" : ",{\"backend\":";
    first = false;
    json::append_string(out, attempt.backend);
    text_field(out, "class", attempt.outcome);
    if (attempt.status != 0) count_field(out, "status", static_cast<std::uint64_t>(attempt.status));
    if (attempt.queued_ms > 0) number_field(out, "queued_ms", attempt.queued_ms);
    if (attempt.connect_ms >= 0) number_field(out, "connect_ms", attempt.connect_ms);
    if (attempt.first_token_ms >= 0) number_field(out, "first_token_ms", attempt.first_token_ms);
    number_field(out, "total_ms", attempt.total_ms);
    if (attempt.events > 0) count_field(out, "events", attempt.events);
    if (attempt.resumed) out += ",\"resumed\":true";
    if (attempt.hedge) out += ",\"hedge\":true";
    if (attempt.repeated) out += ",\"repeated\":true";
    if (!attempt.upstream_request_id.empty()) text_field(out, "upstream_request_id", attempt.upstream_request_id);
    out += "}";
  }
  out += "]}\n";
}

struct AccessLog::State {
  std::shared_ptr<spdlog::sinks::sink> sink;
  Mutex mutex;
  std::condition_variable_any wake;
  std::string pending SPILLWAY_GUARDED_BY(mutex);
  bool stop SPILLWAY_GUARDED_BY(mutex) = false;
  std::atomic<std::uint64_t> dropped{0};
  std::thread writer;

  void run() {
    std::string lines;
    for (;;) {
      {
        const MutexLock lock(mutex);
        while (!stop && pending.empty()) wake.wait(mutex);
        if (pending.empty()) return;
        std::swap(lines, pending);
      }
      write(lines);
      lines.clear();
    }
  }

  // spdlog's sinks count a file's size and rotate it; a failing disk throws.
  void write(const std::string& lines) {
    try {
      std::size_t at = 0;
      while (at < lines.size()) {
        // Pieces of whole lines, so that a rotation falls between two of them.
        std::size_t end = std::min(at + (64u << 10), lines.size());
        if (end < lines.size()) end = lines.rfind('\n', end) + 1;
        if (end <= at) end = lines.find('\n', at) + 1;
        spdlog::details::log_msg message;
        message.payload = spdlog::string_view_t(lines.data() + at, end - at);
        sink->log(message);
        at = end;
      }
      sink->flush();
    } catch (const std::exception& exception) {
      if (dropped.fetch_add(lines.size()) == 0) {
        log::error(std::string("the access log cannot be written, lines are lost: ") + exception.what());
      }
    }
  }
};

AccessLog::AccessLog(std::unique_ptr<State> state) : state_(std::move(state)) {
  if (state_->sink) state_->writer = std::thread([this] { state_->run(); });
}

AccessLog::~AccessLog() {
  {
    const MutexLock lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_one();
  if (state_->writer.joinable()) state_->writer.join();
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(Settings settings) {
  auto state = std::make_unique<State>();
  try {
    if (settings.path == "stderr") {
      state->sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else if (!settings.path.empty()) {
      state->sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(settings.path, settings.max_size,
                                                                           static_cast<std::size_t>(settings.files));
    }
    if (state->sink) {
      state->sink->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, ""));
    }
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kPermissionDenied, std::string("the access log cannot be opened: ") + exception.what(),
                 "set log.access to a file that can be written, or to \"off\""};
  }
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(state)));
}

bool AccessLog::enabled() const { return state_->sink != nullptr; }

void AccessLog::hand_over(std::string& lines) {
  if (lines.empty()) return;
  {
    const MutexLock lock(state_->mutex);
    if (state_->pending.size() + lines.size() > kMaxPending) {
      if (state_->dropped.fetch_add(lines.size()) == 0) log::error("the access log's disk is too slow, lines are lost");
      lines.clear();
      return;
    }
    if (state_->pending.empty()) {
      std::swap(state_->pending, lines);
    } else {
      state_->pending += lines;
    }
  }
  lines.clear();
  state_->wake.notify_one();
}

std::uint64_t AccessLog::dropped_bytes() const { return state_->dropped.load(); }

AccessLogBuffer::AccessLogBuffer(LoopTimers& timers, AccessLog& log)
    : log_(log), timer_(timers, [this] { log_.hand_over(lines_); }) {}

AccessLogBuffer::~AccessLogBuffer() { log_.hand_over(lines_); }

void AccessLogBuffer::write(const ExchangeLine& line) {
  if (!log_.enabled()) return;
  append_line(lines_, line, std::chrono::system_clock::now());
  if (lines_.size() >= kHandOverAt) {
    log_.hand_over(lines_);
  } else if (!timer_.armed()) {
    timer_.arm(now() + AccessLog::kFlushEvery);
  }
}

}  // namespace spillway::record
