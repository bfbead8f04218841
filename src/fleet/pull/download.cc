#include "fleet/pull/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "fleet/models/disk.h"
#include "fleet/pull/parts.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

constexpr milliseconds kTick{200};
constexpr milliseconds kWriteDown{1000};  // what a killed fetch loses at most, in time
constexpr milliseconds kLongestBackoff{10'000};
constexpr seconds kLongestRetryAfter{60};
constexpr std::uint64_t kProgress = 256u << 10;  // a transfer that brought so much was no failure of the part
constexpr std::uint64_t kMaxJournal = 256u << 20;
constexpr int kRounds = 3;  // a disk that spoils what is written to it, a file that changes: not for ever

std::string text_of(std::uint64_t number) { return std::to_string(number); }

// Where a file is, and what this place has said of it.
struct Place {
  web::Request request;
  std::string validator;
  std::optional<Error> dead;  // it does not have the file
};

struct Transfer;

class Download {
 public:
  Download(const Remote& remote, fs::path file, const DownloadOptions& options, const DownloadWatch& watch)
      : remote_(remote), file_(std::move(file)), journal_(file_.string() + ".json"), options_(options), watch_(watch) {
    for (const web::Request& request : remote.places) places_.push_back({request, {}, {}});
  }

  Result<Downloaded> run();

  // Called by a Transfer. False: it is to end.
  bool judge(Transfer& transfer);
  bool take(Transfer& transfer, const char* data, std::size_t size);

 private:
  struct Pending {  // a part that is not whole, and when it may be asked for
    Part* part = nullptr;
    int failures = 0;  // on end
    TimePoint not_before{};
  };
  enum class Fetched { kWhole, kChanged };

  Status find_place();
  Status probe(Place& place);
  Status prepare();
  Status open_file(std::uint64_t size);
  Result<Fetched> fetch();
  Status start(Pending& pending);
  void finish(Transfer& transfer, CURLcode code);
  void fail(Transfer& transfer, const Error& error, bool for_good, seconds retry_after = seconds(0));
  std::size_t pick_place(std::size_t after) const;
  Result<std::string> verify_whole();
  Result<std::string> fetch_again_one_by_one(const std::string& wrong);
  Status write_down() const;
  void report(DownloadProgress::Phase phase) const;

  const Remote& remote_;
  fs::path file_;
  fs::path journal_;
  DownloadOptions options_;
  const DownloadWatch& watch_;
  std::vector<Place> places_;
  Parts parts_;
  bool ranged_ = true;
  FileDescriptor fd_;
  std::vector<Pending> pending_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::size_t next_place_ = 0;
  std::optional<Error> fatal_;
  bool changed_ = false;
  CURLM* multi_ = nullptr;
};

// One request for the rest of one part.
struct Transfer {
  Download* owner = nullptr;
  Part* part = nullptr;
  std::size_t place = 0;
  std::uint64_t begin = 0;  // what had been received before
  web::Easy easy;
  web::Head head;
  std::optional<bool> judged;
  std::optional<Error> refused;
  bool for_good = false;          // this place need not be asked again
  std::optional<Sha256> content;  // of this answer alone, where it tells a Content-Digest
  char why[CURL_ERROR_SIZE] = "";
};

std::size_t on_header(char* data, std::size_t, std::size_t size, void* to) {
  web::read_header_line({data, size}, static_cast<Transfer*>(to)->head);
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  return transfer.owner->judge(transfer) && transfer.owner->take(transfer, data, size) ? size : 0;
}

Error html_instead(const web::Request& request) {
  return Error{ErrorCode::kCorrupt, web::shown(request.url) + " sends a web page instead of the file",
               "a captive portal or a mirror's sign-in page? Open it in a browser"};
}

Result<Downloaded> Download::run() {
  if (Status found = find_place(); !found) return found.error();
  if (Status ready = prepare(); !ready) return ready.error();
  for (int round = 0; round < kRounds; ++round) {
    const Result<Fetched> fetched = fetch();
    if (!fetched) return fetched.error();
    if (*fetched == Fetched::kChanged) {
      log::warn("the file changed while it was fetched; beginning again");
      for (Place& place : places_) place.validator.clear();
      remove_with_leftovers(journal_);
      if (Status found = find_place(); !found) return found.error();
      if (Status ready = prepare(); !ready) return ready.error();
      continue;
    }
    Result<std::string> digest = verify_whole();
    if (!digest) return digest.error();
    if (digest->empty()) continue;  // the disk did not keep a part
    if (!remote_.sha256.empty() && *digest != remote_.sha256) digest = fetch_again_one_by_one(*digest);
    if (!digest) return digest.error();
    remove_with_leftovers(journal_);
    return Downloaded{*std::move(digest), parts_.validator};
  }
  return Error{ErrorCode::kUnavailable, "the file changes on and on, at its place or on the disk",
               "try again later; check the disk (`spillway doctor`)"};
}

// The first place that has the file; those before it are dead.
Status Download::find_place() {
  Status last = Error{ErrorCode::kInvalidArgument, "there is no place to fetch from", {}};
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].dead) continue;
    last = probe(places_[i]);
    if (last) {
      next_place_ = i;
      return {};
    }
    if (i + 1 < places_.size()) log::warn(last.error().message + "; asking the next mirror");
    places_[i].dead = last.error();
  }
  return last;
}

// Learns the size, and whether ranges are served.
Status Download::probe(Place& place) {
  const long limit = static_cast<long>(options_.stall.count()) + web::kConnectTimeoutSeconds;
  const std::string where = web::shown(place.request.url);
  for (int attempt = 0;; ++attempt) {
    const Result<web::Glance> glance = web::glance(place.request, limit);
    Error error = glance ? web::status_error(glance->head.status, place.request.url, "the file") : glance.error();
    if (glance && (glance->head.status == 200 || glance->head.status == 206)) {
      if (glance->head.content_type == "text/html") return html_instead(place.request);
      const std::optional<std::uint64_t> size = glance->length ? glance->length : remote_.size;
      if (!size || *size == 0) {
        return Error{ErrorCode::kCorrupt, where + " does not say how long the file is", "name another mirror"};
      }
      if (remote_.size && *size != *remote_.size) {
        return Error{ErrorCode::kCorrupt,
                     where + " has a file of " + text_of(*size) + " bytes, the manifest says " + text_of(*remote_.size),
                     "name another mirror, or try again once this one is up to date"};
      }
      ranged_ = glance->head.status == 206;
      place.validator = glance->head.validator;
      parts_.size = *size;
      return {};
    }
    if (error.code != ErrorCode::kUnavailable || attempt >= options_.retries) return error;
    ::usleep(static_cast<useconds_t>(microseconds(options_.backoff).count()) << std::min(attempt, 5));
  }
}

// Goes on with what is there, or begins.
Status Download::prepare() {
  const std::uint64_t size = parts_.size;
  const std::string& validator = places_[next_place_].validator;
  std::optional<Parts> before;
  if (const Result<std::string> text = read_file(journal_, kMaxJournal); text) before = parts_from_json(*text, size);
  // A digest tells whether it is the same file; otherwise its name by the server does.
  if (before && remote_.sha256.empty() && before->validator != validator) {
    log::info("the file is another one by now; beginning again");
    before.reset();
  }
  if (!ranged_) before.reset();
  if (Status opened = open_file(size); !opened) return opened;
  parts_ = before ? std::move(*before) : make_parts(size, ranged_ ? part_size_for(size) : size);
  parts_.validator = validator;
  if (before) {
    report(DownloadProgress::Phase::kChecking);
    const Result<std::size_t> bad = check_on_disk(parts_, file_);
    if (!bad) return bad.error();
    if (*bad > 0)
      log::warn(text_of(*bad) + " of the parts on the disk are not what was received, and are fetched again");
  }
  return write_down();
}

Status Download::open_file(std::uint64_t size) {
  fd_ = FileDescriptor(::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd_.valid()) return system_error("cannot create", file_, errno);
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return system_error("cannot look at", file_, errno);
  const std::uint64_t taken = static_cast<std::uint64_t>(status.st_blocks) * 512;
  if (taken < size) {
    if (Status space = check_free_space(file_.parent_path(), size - taken); !space) return space;
  }
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return system_error("cannot write", file_, errno);
  // Takes the space now, where the file system can.
  if (::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) != 0 && (errno == ENOSPC || errno == EDQUOT)) {
    return system_error("cannot write", file_, errno);
  }
  return {};
}

Status Download::write_down() const { return write_file_atomically(journal_, parts_to_json(parts_)); }

void Download::report(DownloadProgress::Phase phase) const {
  if (watch_) watch_({phase, parts_.received(), parts_.size});
}

// Until no part is missing.
Result<Download::Fetched> Download::fetch() {
  pending_.clear();
  changed_ = false;
  for (Part& part : parts_.all) {
    if (!part.whole()) pending_.push_back({&part, 0, {}});
  }
  multi_ = curl_multi_init();
  TimePoint written = now();
  while (!pending_.empty() || !transfers_.empty()) {
    for (Pending& each : pending_) {
      if (transfers_.size() >= static_cast<std::size_t>(options_.connections) || fatal_ || changed_) break;
      const bool running = std::ranges::any_of(transfers_, [&](const auto& one) { return one->part == each.part; });
      if (running || now() < each.not_before) continue;
      if (Status started = start(each); !started) fatal_ = started.error();
    }
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const auto found =
          std::ranges::find_if(transfers_, [&](const auto& one) { return one->easy.get() == message->easy_handle; });
      if (found == transfers_.end()) continue;
      const CURLcode code = message->data.result;
      const std::unique_ptr<Transfer> transfer = std::move(*found);
      transfers_.erase(found);
      curl_multi_remove_handle(multi_, transfer->easy.get());
      finish(*transfer, code);
    }
    if (fatal_ || changed_) break;
    report(DownloadProgress::Phase::kFetching);
    if (now() - written > kWriteDown) {
      written = now();
      if (Status status = write_down(); !status) fatal_ = status.error();
    }
    if (!pending_.empty()) curl_multi_poll(multi_, nullptr, 0, static_cast<int>(kTick.count()), nullptr);
  }
  for (const auto& transfer : transfers_) curl_multi_remove_handle(multi_, transfer->easy.get());
  transfers_.clear();
  curl_multi_cleanup(multi_);
  multi_ = nullptr;
  if (changed_) return Fetched::kChanged;
  if (Status status = write_down(); !status && !fatal_) fatal_ = status.error();
  if (fatal_) return *fatal_;
  return Fetched::kWhole;
}

std::size_t Download::pick_place(std::size_t after) const {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const std::size_t at = (after + i) % places_.size();
    if (!places_[at].dead) return at;
  }
  return places_.size();
}

Status Download::start(Pending& pending) {
  auto transfer = std::make_unique<Transfer>();
  Part& part = *pending.part;
  transfer->place = pick_place(next_place_);
  if (transfer->place == places_.size()) return *places_.back().dead;
  if (!ranged_) reset(part);
  if (!part.hash) {
    reset(part);
    part.hash.emplace();
  }
  transfer->owner = this;
  transfer->part = &part;
  transfer->begin = part.received;
  transfer->easy = web::make_easy(places_[transfer->place].request);
  CURL* easy = transfer->easy.get();
  const std::string range = text_of(part.offset + part.received) + "-" + text_of(part.offset + part.size - 1);
  if (ranged_) curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(kSlow));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall.count()));
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
  // One connection a part: streams of one HTTP/2 connection share its window, and stall together.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer.get());
  curl_multi_add_handle(multi_, easy);
  transfers_.push_back(std::move(transfer));
  return {};
}

// By the head of its answer, once.
bool Download::judge(Transfer& transfer) {
  if (transfer.judged) return *transfer.judged;
  Place& place = places_[transfer.place];
  const web::Head& head = transfer.head;
  const Part& part = *transfer.part;
  const auto refuse = [&](Error error, bool for_good) {
    transfer.refused = std::move(error);
    transfer.for_good = for_good;
    transfer.judged = false;
    return false;
  };
  if (head.status != 200 && head.status != 206) {
    Error error = web::status_error(head.status, place.request.url, "the file");
    const bool for_good = error.code != ErrorCode::kUnavailable;
    return refuse(std::move(error), for_good);
  }
  if (head.content_type == "text/html") return refuse(html_instead(place.request), true);
  if (!place.validator.empty() && !head.validator.empty() && place.validator != head.validator) changed_ = true;
  if (place.validator.empty()) place.validator = head.validator;
  if (changed_) return refuse({ErrorCode::kUnavailable, "the file changed", {}}, false);
  const std::uint64_t first = part.offset + transfer.begin;
  if (ranged_ && !is_content_range(head.content_range, first, part.offset + part.size - 1, parts_.size)) {
    return refuse(
        {ErrorCode::kCorrupt,
         web::shown(place.request.url) + " was asked for the bytes from " + text_of(first) + " on, and sends others (" +
             (head.content_range.empty() ? "all of them" : head.content_range.substr(0, 80)) + ")",
         "name another mirror"},
        false);
  }
  if (!head.content_digest.empty()) transfer.content.emplace();
  transfer.judged = true;
  return true;
}

bool Download::take(Transfer& transfer, const char* data, std::size_t size) {
  Part& part = *transfer.part;
  const web::Request& request = places_[transfer.place].request;
  if (size > part.size - part.received) {
    transfer.refused = Error{ErrorCode::kCorrupt, web::shown(request.url) + " sends more bytes than it was asked for",
                             "name another mirror"};
    return false;
  }
  constexpr std::string_view kGguf = "GGUF";
  if (remote_.gguf && part.offset + part.received == 0 && size >= kGguf.size() &&
      std::string_view(data, kGguf.size()) != kGguf) {
    transfer.refused = Error{ErrorCode::kCorrupt, web::shown(request.url) + " is not a GGUF file", "check the address"};
    transfer.for_good = true;
    return false;
  }
  const auto at = static_cast<off_t>(part.offset + part.received);
  if (Status written = write_at(fd_.get(), data, size, at, file_); !written) {
    fatal_ = written.error();
    return false;
  }
  part.hash->update(data, size);
  if (transfer.content) transfer.content->update(data, size);
  part.received += size;
  return true;
}

void Download::finish(Transfer& transfer, CURLcode code) {
  if (fatal_ || changed_) return;
  Part& part = *transfer.part;
  const std::string where = web::shown(places_[transfer.place].request.url);
  if (code == CURLE_OK) judge(transfer);
  if (changed_) return;
  if (transfer.refused) {
    curl_off_t wait = 0;
    curl_easy_getinfo(transfer.easy.get(), CURLINFO_RETRY_AFTER, &wait);
    fail(transfer, *transfer.refused, transfer.for_good, std::min(seconds(wait), kLongestRetryAfter));
    return;
  }
  if (part.whole()) {
    if (transfer.content && digest_contradicts(transfer.head.content_digest, transfer.content->finish())) {
      reset(part);
      fail(transfer,
           {ErrorCode::kCorrupt, where + " sent bytes that do not have the digest it told", "name another mirror"},
           false);
      return;
    }
    part.digest = part.hash->finish();
    part.hash.reset();
    std::erase_if(pending_, [&](const Pending& each) { return each.part == &part; });
    return;
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    fail(transfer,
         {ErrorCode::kUnavailable, where + " sends less than " + text_of(kSlow / 1024) + " KiB/s",
          "name another mirror"},
         false);
    return;
  }
  const std::string why = *transfer.why != '\0' ? transfer.why : curl_easy_strerror(code);
  fail(transfer,
       {ErrorCode::kUnavailable,
        code == CURLE_OK
            ? where + " ended a part after " + text_of(part.received) + " of " + text_of(part.size) + " bytes"
            : where + ": " + why,
        "run the same command again: it goes on where it was"},
       false);
}

// Its part will be asked for again, elsewhere where that can be; or everything ends.
void Download::fail(Transfer& transfer, const Error& error, bool for_good, seconds retry_after) {
  const auto found = std::ranges::find(pending_, transfer.part, &Pending::part);
  if (for_good) places_[transfer.place].dead = error;
  next_place_ = pick_place(transfer.place + 1);
  if (next_place_ == places_.size()) {
    fatal_ = error;
    return;
  }
  if (found == pending_.end()) return;
  const bool progress = transfer.part->received > transfer.begin + kProgress;
  found->failures = progress ? 1 : found->failures + 1;
  if (found->failures > options_.retries) {
    fatal_ = error;
    return;
  }
  log::debug(error.message);
  if (for_good) return;
  const double uniform01 = static_cast<double>(random_u64() >> 11) * 0x1.0p-53;
  const auto cap = std::min(kLongestBackoff, options_.backoff * (1 << std::min(found->failures - 1, 10)));
  found->not_before = now() + std::max<Duration>(retry_after, std::chrono::duration_cast<Duration>(cap * uniform01));
}

// Empty: parts of it were not as received.
Result<std::string> Download::verify_whole() {
  report(DownloadProgress::Phase::kVerifying);
  if (::fsync(fd_.get()) != 0) return system_error("cannot write", file_, errno);
  Result<Verified> verified = verify(parts_, file_);
  if (!verified) return verified.error();
  if (verified->bad == 0) return verified->digest;
  log::warn(text_of(verified->bad) + " of the parts on the disk are not what was received, and are fetched again");
  return std::string();
}

// Every part is what was received, and the whole is wrong: some part came wrong, and nothing tells which. Each is
// fetched again until that makes it right.
Result<std::string> Download::fetch_again_one_by_one(const std::string& wrong) {
  log::warn("the file has another SHA-256 than its manifest says; looking for the part that came wrong");
  std::string digest = wrong;
  for (Part& part : parts_.all) {
    const std::string before = part.digest;
    reset(part);
    const Result<Fetched> fetched = fetch();
    if (!fetched) return fetched.error();
    if (*fetched == Fetched::kWhole && part.digest == before) continue;
    const Result<std::string> again = verify_whole();
    if (!again) return again;
    if (*again == remote_.sha256) return again;
    if (!again->empty()) digest = *again;
  }
  remove_with_leftovers(journal_);  // nothing of it is worth going on with
  std::error_code ignored;
  fs::remove(file_, ignored);
  return Error{ErrorCode::kCorrupt,
               web::shown(places_[next_place_].request.url) + " has SHA-256 " + digest + ", not " + remote_.sha256 +
                   " as the manifest says, and also when it is fetched again",
               "name another mirror, or try again once this one is up to date"};
}

}  // namespace

Result<Downloaded> download(const Remote& remote, const fs::path& file, const DownloadOptions& options,
                            const DownloadWatch& watch) {
  return Download(remote, file, options, watch).run();
}

bool is_content_range(std::string_view field, std::uint64_t first, std::uint64_t last, std::uint64_t size) {
  const std::string range = "bytes " + text_of(first) + "-" + text_of(last) + "/";
  return field.starts_with(range) && (field.substr(range.size()) == "*" || web::complete_length(field) == size);
}

bool digest_contradicts(std::string_view field, std::string_view sha256_hex) {
  constexpr std::string_view kAlgorithm = "sha-256=:";
  const std::size_t at = field.find(kAlgorithm);
  if (at == std::string_view::npos) return false;
  const std::string_view told = field.substr(at + kAlgorithm.size());
  return told.substr(0, told.find(':')) != base64_of_hex(sha256_hex);
}

}  // namespace spillway::fleet
