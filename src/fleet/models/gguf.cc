#include "fleet/models/gguf.h"

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <utility>

#include "fleet/models/ggml_types.h"

namespace spillway::fleet {

namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in memory");

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1u << 20;
constexpr std::uint32_t kMaxDimensions = 4;  // GGML_MAX_DIMS
constexpr std::uint64_t kMaxKey = 65'535;    // the format's own limit
constexpr std::size_t kMaxShown = 256;       // of a text that comes from the file
// The fewest bytes that an entry can take; a count that cannot fit in the file is refused at once.
constexpr std::uint64_t kLeastKeyValue = 8 + 4 + 1;
constexpr std::uint64_t kLeastTensor = 8 + 4 + 4 + 8;
constexpr std::size_t kMaxContextKeys = 16;

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// Bytes of a value; 0 for strings, arrays and what is not known.
constexpr std::uint64_t width_of(std::uint32_t type) {
  constexpr std::array<std::uint8_t, 13> kWidths{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < kWidths.size() ? kWidths[type] : 0;
}

constexpr bool is_integer(std::uint32_t type) {
  return width_of(type) != 0 && type != kFloat32 && type != kFloat64 && type != kBool;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxShown));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

// Reads forward; the first thing that cannot be read decides how the parse ends.
class Parser {
 public:
  Parser(std::string_view head, std::uint64_t file_size) : head_(head), file_size_(file_size) {}

  Result<std::optional<GgufDetails>> run() {
    info_.file_size = file_size_;
    if (header() && metadata() && tensors()) {
      finish();
      if (!error_) return std::optional<GgufDetails>(std::move(details_));
    }
    if (error_) return *std::move(error_);
    return std::optional<GgufDetails>();
  }

 private:
  bool broken(const std::string& why) {
    if (!error_) error_ = Error{ErrorCode::kCorrupt, "broken GGUF: " + why, "fetch it again"};
    return false;
  }
  bool unusable(std::string why, std::string hint) {
    if (!error_) error_ = Error{ErrorCode::kInvalidArgument, std::move(why), std::move(hint)};
    return false;
  }

  // Makes sure that `count` more bytes are in `head_`.
  bool have(std::uint64_t count) {
    if (count <= head_.size() - at_) return true;
    if (count > file_size_ - at_) {
      return broken("truncated: the header goes on beyond the file's " + std::to_string(file_size_) + " bytes");
    }
    return false;  // more of the file is needed
  }
  bool skip(std::uint64_t count) {
    if (!have(count)) return false;
    at_ += count;
    return true;
  }
  template <class T>
  bool read(T& value) {
    if (!have(sizeof value)) return false;
    std::memcpy(&value, head_.data() + at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  bool read_text(std::string_view& text) {
    std::uint64_t size = 0;
    if (!read(size) || !have(size)) return false;
    text = head_.substr(at_, size);
    at_ += size;
    return true;
  }
  bool read_integer(std::uint32_t type, std::uint64_t& value) {
    value = 0;
    const std::uint64_t width = width_of(type);
    if (!have(width)) return false;
    std::memcpy(&value, head_.data() + at_, width);
    at_ += width;
    return true;
  }

  bool header();
  bool metadata();
  bool key_value();
  bool wanted_value(std::string_view key, std::uint32_t type, bool& taken);
  bool detail(std::string_view key, std::uint32_t type);
  bool keep_array(std::string_view key);
  bool skip_value(std::string_view key, std::uint32_t type);
  bool tensors();
  bool tensor();
  void weigh(std::string_view name, std::string_view type, std::uint64_t bytes);
  void finish();

  std::string_view head_;
  std::uint64_t file_size_;
  std::uint64_t at_ = 0;
  std::optional<Error> error_;
  GgufDetails details_;
  GgufInfo& info_ = details_.info;

  std::uint64_t key_values_ = 0;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::optional<std::uint64_t> file_type_;
  std::map<std::string, std::uint64_t, std::less<>> context_lengths_;  // by architecture

  // What the tensors take of the data section, relative to its start.
  std::uint64_t furthest_end_ = 0;
  std::string furthest_name_;
  std::uint64_t furthest_unsized_ = 0;  // offset of a tensor whose type is not known
  std::string unsized_name_;
  std::map<std::string_view, std::uint64_t> bytes_by_type_;
};

bool Parser::header() {
  const std::string_view begin = head_.substr(0, kMagic.size());
  if (head_.starts_with("version https://git-lfs")) {
    return unusable("not a GGUF file: it is a Git LFS pointer", "fetch the file itself, with `git lfs pull`");
  }
  if (begin != kMagic.substr(0, begin.size())) {
    return unusable("not a GGUF file: it does not begin with \"GGUF\"", "name a model in GGUF format");
  }
  if (!skip(kMagic.size()) || !read(info_.version)) return false;
  if ((info_.version & 0xffff) == 0) {
    return unusable("GGUF file for big-endian machines", "fetch the little-endian one");
  }
  if (info_.version != 2 && info_.version != 3) {
    return unusable("GGUF version " + std::to_string(info_.version) + "; versions 2 and 3 can be read",
                    "fetch a newer conversion of the model");
  }
  if (!read(info_.tensors) || !read(key_values_)) return false;
  if (key_values_ > file_size_ / kLeastKeyValue) {
    return broken(std::to_string(key_values_) + " metadata keys cannot fit in " + std::to_string(file_size_) +
                  " bytes");
  }
  if (info_.tensors > file_size_ / kLeastTensor) {
    return broken(std::to_string(info_.tensors) + " tensors cannot fit in " + std::to_string(file_size_) + " bytes");
  }
  return true;
}

bool Parser::metadata() {
  for (std::uint64_t i = 0; i < key_values_; ++i) {
    if (!key_value()) return false;
  }
  if (info_.architecture.empty()) return broken("no general.architecture");
  if (!std::has_single_bit(alignment_) || alignment_ > kMaxAlignment) {
    return broken("general.alignment is " + std::to_string(alignment_) + ", not a power of two up to " +
                  std::to_string(kMaxAlignment));
  }
  return true;
}

bool Parser::key_value() {
  std::string_view key;
  std::uint32_t type = 0;
  if (!read_text(key)) return false;
  if (key.empty() || key.size() > kMaxKey) {
    return broken("a metadata key of " + std::to_string(key.size()) + " bytes");
  }
  if (!read(type)) return false;
  bool taken = false;
  const std::uint64_t at = at_;
  if (!detail(key, type)) return false;
  at_ = at;
  if (!wanted_value(key, type, taken)) return false;
  return taken || skip_value(key, type);
}

// Takes a copy of what counts for running it. What is wrong is found where the value is read or skipped.
bool Parser::detail(std::string_view key, std::uint32_t type) {
  if (type == kString && key == "tokenizer.chat_template") {
    std::string_view text;
    if (!read_text(text)) return false;
    details_.chat_template = text.substr(0, GgufDetails::kMaxTemplate);
    return true;
  }
  if (key == "tokenizer.ggml.tokens" && type == kArray) {
    std::uint32_t element = 0;
    return read(element) && read(details_.vocabulary);
  }
  if (key.starts_with("tokenizer.") || details_.numbers.size() >= GgufDetails::kMaxNumbers) return true;
  if (type == kArray) return keep_array(key);
  if (!is_integer(type) && type != kBool) return true;
  std::uint64_t value = 0;
  if (!read_integer(type, value)) return false;
  details_.numbers[printable(key)] = {static_cast<std::int64_t>(value)};
  return true;
}

bool Parser::keep_array(std::string_view key) {
  std::uint32_t type = 0;
  std::uint64_t count = 0;
  if (!read(type) || !read(count)) return false;
  if ((!is_integer(type) && type != kBool) || count > GgufDetails::kMaxElements) return true;
  std::vector<std::int64_t> values(count);
  for (std::int64_t& each : values) {
    std::uint64_t value = 0;
    if (!read_integer(type, value)) return false;
    each = static_cast<std::int64_t>(value);
  }
  details_.numbers[printable(key)] = std::move(values);
  return true;
}

// Reads the value where the key is one of those that tell something; otherwise leaves it.
bool Parser::wanted_value(std::string_view key, std::uint32_t type, bool& taken) {
  constexpr std::string_view kContext = ".context_length";
  if (type == kString && (key == "general.architecture" || key == "general.name")) {
    std::string_view text;
    if (!read_text(text)) return false;
    (key == "general.name" ? info_.name : info_.architecture) = printable(text);
    taken = true;
  } else if (key == "general.alignment" || key == "general.file_type" || key == "split.count" ||
             key.ends_with(kContext)) {
    if (!is_integer(type)) return broken("metadata key \"" + printable(key) + "\" is not an integer");
    std::uint64_t value = 0;
    if (!read_integer(type, value)) return false;
    if (key == "general.alignment") {
      alignment_ = value;
    } else if (key == "general.file_type") {
      file_type_ = value;
    } else if (key == "split.count") {
      info_.split_count = value == 0 ? 1 : value;
    } else if (context_lengths_.size() < kMaxContextKeys) {
      context_lengths_[printable(key.substr(0, key.size() - kContext.size()))] = value;
    }
    taken = true;
  }
  return true;
}

bool Parser::skip_value(std::string_view key, std::uint32_t type) {
  std::uint64_t count = 1;
  const bool array = type == kArray;
  if (array && (!read(type) || !read(count))) return false;
  if (type == kString) {
    if (count > file_size_ / sizeof(std::uint64_t)) {
      return broken("metadata key \"" + printable(key) + "\" has more values than the file has bytes");
    }
    std::string_view text;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (!read_text(text)) return false;
    }
    return true;
  }
  const std::uint64_t width = width_of(type);
  if (width == 0) {
    return broken("metadata key \"" + printable(key) + "\" has the unknown type " + std::to_string(type));
  }
  if (count > file_size_ / width) {
    return broken("metadata key \"" + printable(key) + "\" has more values than the file has bytes");
  }
  return skip(count * width);
}

bool Parser::tensors() {
  for (std::uint64_t i = 0; i < info_.tensors; ++i) {
    if (!tensor()) return false;
  }
  return true;
}

bool Parser::tensor() {
  std::string_view name;
  std::uint32_t dimensions = 0;
  if (!read_text(name)) return false;
  if (name.size() > kMaxKey) return broken("a tensor name of " + std::to_string(name.size()) + " bytes");
  if (!read(dimensions)) return false;
  if (dimensions > kMaxDimensions) {
    return broken("tensor \"" + printable(name) + "\" has " + std::to_string(dimensions) + " dimensions");
  }
  std::uint64_t row = 1;
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    std::uint64_t extent = 0;
    if (!read(extent)) return false;
    if (i == 0) row = extent;
    if (__builtin_mul_overflow(elements, extent, &elements)) {
      return broken("tensor \"" + printable(name) + "\" is larger than memory can be");
    }
  }
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  if (!read(type) || !read(offset)) return false;
  if (offset % alignment_ != 0) {
    return broken("tensor \"" + printable(name) + "\" begins at " + std::to_string(offset) + ", not a multiple of " +
                  std::to_string(alignment_));
  }
  if (__builtin_add_overflow(info_.parameters, elements, &info_.parameters)) {
    return broken("more parameters than can be counted");
  }
  const std::optional<GgmlType> known = ggml_type(type);
  if (!known) {
    if (unsized_name_.empty() || offset > furthest_unsized_) {
      furthest_unsized_ = offset;
      unsized_name_ = printable(name);
    }
    return true;
  }
  if (row % known->elements != 0) {
    return broken("tensor \"" + printable(name) + "\" has rows of " + std::to_string(row) +
                  " elements, not a multiple of the " + std::to_string(known->elements) + " in a block of " +
                  std::string(known->name));
  }
  std::uint64_t bytes = 0;
  std::uint64_t end = 0;
  if (__builtin_mul_overflow(elements / known->elements, std::uint64_t{known->bytes}, &bytes) ||
      __builtin_add_overflow(offset, bytes, &end)) {
    return broken("tensor \"" + printable(name) + "\" is larger than memory can be");
  }
  std::uint64_t& total = bytes_by_type_[known->name];
  if (__builtin_add_overflow(total, bytes, &total)) total = UINT64_MAX;
  weigh(name, known->name, bytes);
  if (furthest_name_.empty() || end > furthest_end_) {
    furthest_end_ = end;
    furthest_name_ = printable(name);
  }
  return true;
}

void Parser::weigh(std::string_view name, std::string_view type, std::uint64_t bytes) {
  const auto add = [bytes](std::uint64_t& sum) {
    if (__builtin_add_overflow(sum, bytes, &sum)) sum = UINT64_MAX;
  };
  add(details_.tensor_bytes);
  if (name.find("_exps.") != std::string_view::npos) add(details_.expert_bytes);
  if (name == "output.weight") details_.tied = false;
  if (name == "token_embd.weight") {
    details_.embedding_bytes = bytes;
    details_.embedding_type = type;
  }
}

void Parser::finish() {
  if (info_.tensors == 0) {
    unusable("GGUF file without tensors", "name the model's own file, not its vocabulary");
    return;
  }
  const std::uint64_t data = (at_ + alignment_ - 1) / alignment_ * alignment_;
  std::uint64_t end = 0;
  if (__builtin_add_overflow(data, furthest_end_, &end)) end = UINT64_MAX;
  if (!furthest_name_.empty() && end > file_size_) {
    broken("truncated: tensor \"" + furthest_name_ + "\" ends at byte " + std::to_string(end) + ", the file has " +
           std::to_string(file_size_));
    return;
  }
  if (__builtin_add_overflow(data, furthest_unsized_, &end)) end = UINT64_MAX;
  if (!unsized_name_.empty() && end >= file_size_) {
    broken("truncated: tensor \"" + unsized_name_ + "\" begins at byte " + std::to_string(end) + ", the file has " +
           std::to_string(file_size_));
    return;
  }
  const auto context = context_lengths_.find(info_.architecture);
  if (context != context_lengths_.end()) info_.context_length = context->second;
  if (file_type_) info_.quantization = file_type_name(*file_type_);
  if (info_.quantization.empty()) {
    std::uint64_t most = 0;
    for (const auto& [name, bytes] : bytes_by_type_) {
      if (bytes > most) {
        most = bytes;
        info_.quantization = name;
      }
    }
  }
}

}  // namespace

Result<std::optional<GgufInfo>> parse_gguf(std::string_view head, std::uint64_t file_size) {
  Result<std::optional<GgufDetails>> details = parse_gguf_details(head, file_size);
  if (!details) return details.error();
  if (!*details) return std::optional<GgufInfo>();
  return std::optional<GgufInfo>(std::move((*details)->info));
}

Result<std::optional<GgufDetails>> parse_gguf_details(std::string_view head, std::uint64_t file_size) {
  return Parser(head, file_size).run();
}

const std::vector<std::int64_t>* GgufDetails::array(std::string_view key) const {
  const auto found = numbers.find(info.architecture + "." + std::string(key));
  return found == numbers.end() || found->second.empty() ? nullptr : &found->second;
}

std::uint64_t GgufDetails::number(std::string_view key, std::uint64_t otherwise, std::size_t layer) const {
  const std::vector<std::int64_t>* values = array(key);
  if (values == nullptr) return otherwise;
  const std::int64_t value = values->size() == 1 ? values->front() : layer < values->size() ? (*values)[layer] : -1;
  return value < 0 || value > std::int64_t{1} << 31 ? otherwise : static_cast<std::uint64_t>(value);
}

}  // namespace spillway::fleet
