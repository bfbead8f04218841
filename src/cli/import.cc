#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"
#include "fleet/pull/ollama_store.h"

namespace spillway::cli {

namespace {

int failed(const Error& error) {
  print_error(error);
  return error.code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
}

void print_model(const fleet::Model& model) {
  print(model.name.to_string() + "  " + size_text(model.size) + "  sha256:" + model.digest + "\n");
}

int import(const Context& context, const fleet::ImportRequest& request) {
  const auto model = fleet::Store(context.data() / "models").import(request);
  if (!model) return failed(model.error());
  print_model(*model);
  return kFine;
}

// One Model of Ollama's, or all where none is named.
int import_ollama(const Context& context, const std::string& wanted, const std::string& name) {
  const Result<std::filesystem::path> folder = fleet::ollama_folder(context.environment);
  if (!folder) return failed(folder.error());
  std::vector<fleet::OllamaModel> models = fleet::ollama_models(*folder);
  std::string there;
  for (const fleet::OllamaModel& model : models) there += (there.empty() ? "" : ", ") + model.source.to_string();
  if (!wanted.empty()) {
    const Result<fleet::Source> source = fleet::parse_source(wanted);
    if (!source) return failed(source.error());
    std::erase_if(models, [&](const fleet::OllamaModel& model) { return model.source != *source; });
  }
  if (models.empty()) {
    return failed({ErrorCode::kNotFound,
                   "Ollama has no " + (wanted.empty() ? "models" : wanted) + " in " + folder->string(),
                   "there: " + (there.empty() ? "none" : there)});
  }
  fleet::Store store(context.data() / "models");
  int code = kFine;
  for (const fleet::OllamaModel& each : models) {
    const Result<fleet::Model> model = fleet::import_from_ollama(store, *folder, each, name);
    if (model) {
      print_model(*model);
    } else {
      code = failed(model.error());
    }
  }
  return code;
}

}  // namespace

void add_import(Command app, Context& context) {
  Command command = app.subcommand("import", "Take a GGUF file into the store of Models, checked, under a name");
  auto request = std::make_shared<fleet::ImportRequest>();
  auto file = std::make_shared<std::string>();
  auto ollama = std::make_shared<bool>(false);
  command.option("file", *file, "The GGUF file; with --ollama a Model of Ollama's [all]").value("FILE");
  command.option("name", request->name, "What to call it: NAME or NAME:TAG").value("NAME");
  command.flag("--ollama", *ollama, "From Ollama's store on this machine, as a hard link: takes no space");
  command.option("--sha256", request->sha256, "Refuse the file unless it has this digest").value("HEX");
  command.option("--license", request->license, "Its license, as an SPDX id").value("ID");
  command.option("--source", request->source, "Where it comes from, for the record").value("TEXT");
  command.footer(R"(
Ollama's store: OLLAMA_MODELS, ~/.ollama/models, or /usr/share/ollama/.ollama/models.

Examples:
  spillway import SmolLM2-135M-Instruct.Q4_1.gguf smollm2:135m --license Apache-2.0
  spillway import --ollama llama3.2:1b)");
  command.action([&context, request, file, ollama] {
    if (*ollama) return import_ollama(context, *file, request->name);
    if (file->empty() || request->name.empty()) {
      print_error({ErrorCode::kInvalidArgument, "import needs FILE and NAME", "spillway import --help"});
      return kUsage;
    }
    request->file = *file;
    return import(context, *request);
  });
}

}  // namespace spillway::cli
