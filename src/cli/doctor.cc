// `doctor`: what this machine is, what it is good for, and what is wrong with it.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/hardware/examine.h"
#include "fleet/hardware/tier.h"
#include "fleet/models/store.h"

namespace spillway::cli {

namespace {

using fleet::Finding;
using Json = nlohmann::json;

struct DoctorOptions {
  std::string root = "/";
  bool measure = true;
  bool json = false;
};

struct Report {
  fleet::Machine machine;
  fleet::TierVerdict tier;
  std::vector<fleet::Fit> store;  // Models that are here
  std::vector<fleet::Fit> others;
  std::vector<Finding> findings;
};

template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json gpus_json(const fleet::Machine& machine) {
  Json out = Json::array();
  for (const fleet::Gpu& gpu : machine.gpus) {
    out.push_back({{"name", gpu.name},
                   {"uuid", gpu.uuid},
                   {"memory", gpu.memory},
                   {"memory_free", gpu.memory_free},
                   {"utilisation", optional_json(gpu.utilisation)},
                   {"temperature", optional_json(gpu.temperature)},
                   {"power", optional_json(gpu.power)},
                   {"ecc_errors", optional_json(gpu.ecc_errors)},
                   {"throttled", gpu.throttled},
                   {"xids", gpu.xids},
                   {"bandwidth_gb_s", gpu.bandwidth}});
  }
  return out;
}

Json storage_json(const fleet::Machine& machine) {
  Json raids = Json::array();
  for (const fleet::Raid& raid : machine.raids) {
    raids.push_back({{"device", raid.device},
                     {"level", raid.level},
                     {"wanted", raid.wanted},
                     {"working", raid.working},
                     {"degraded", raid.degraded()},
                     {"rebuild", raid.rebuild},
                     {"members", raid.members}});
  }
  Json drives = Json::array();
  for (const fleet::DriveHealth& drive : machine.drives) {
    drives.push_back({{"device", drive.device}, {"healthy", drive.healthy}, {"detail", drive.detail}});
  }
  const fleet::Disk& disk = machine.disk;
  return {{"folder", disk.folder},
          {"device", disk.device},
          {"size", disk.size},
          {"free", disk.free},
          {"rotational", disk.rotational},
          {"read_mb_s", optional_json(disk.read_rate)},
          {"write_mb_s", optional_json(disk.write_rate)},
          {"raid", raids},
          {"drives", drives}};
}

Json system_json(const fleet::Machine& machine) {
  Json programs = Json::array();
  for (const fleet::Program& program : machine.programs) {
    programs.push_back({{"name", program.name}, {"path", program.path}, {"version", program.version}});
  }
  Json ports = Json::array();
  for (const fleet::Port& port : machine.ports) ports.push_back({{"address", port.address}, {"free", port.is_free}});
  Json power = Json::array();
  for (const fleet::PowerSupply& supply : machine.power_supplies) {
    power.push_back({{"name", supply.name}, {"working", supply.working}, {"detail", supply.detail}});
  }
  return {{"programs", programs},
          {"ports", ports},
          {"power_supplies", power},
          {"clock_synchronised", optional_json(machine.clock_synchronised)},
          {"open_files", machine.open_files},
          {"gpu_driver", machine.gpu_driver}};
}

Json fits_json(const std::vector<fleet::Fit>& fits) {
  Json out = Json::array();
  for (const fleet::Fit& fit : fits) {
    out.push_back({{"model", fit.model},
                   {"fits", fit.fits},
                   {"quantization", fit.quantization},
                   {"where", fit.where},
                   {"memory", fit.memory},
                   {"context", fit.context},
                   {"tokens_per_second", fit.tokens_per_second},
                   {"why", fit.why}});
  }
  return out;
}

std::string as_json(const Report& report) {
  const fleet::Machine& machine = report.machine;
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"severity", finding.severity == Finding::Severity::kProblem ? "problem" : "warning"},
                        {"what", finding.what},
                        {"mend", finding.mend}});
  }
  Json unread = Json::array();
  for (const fleet::Unread& each : machine.unread) unread.push_back({{"what", each.what}, {"why", each.why}});
  const Json out = {{"tier", fleet::to_string(report.tier.tier)},
                    {"missing_for_next_tier", report.tier.missing},
                    {"cpu",
                     {{"model", machine.processor.model},
                      {"cores", machine.processor.cores},
                      {"threads", machine.processor.threads},
                      {"usable_cores", machine.processor.usable()},
                      {"numa_nodes", machine.processor.numa_nodes},
                      {"quota", machine.processor.quota},
                      {"simd", machine.processor.simd}}},
                    {"memory",
                     {{"total", machine.memory.total},
                      {"available", machine.memory.available},
                      {"limit", machine.memory.limit},
                      {"usable", machine.memory.usable()},
                      {"swap", machine.memory.swap},
                      {"rate_gb_s", machine.memory_rate}}},
                    {"gpus", gpus_json(machine)},
                    {"storage", storage_json(machine)},
                    {"system", system_json(machine)},
                    {"models", fits_json(report.store)},
                    {"catalogue", fits_json(report.others)},
                    {"findings", findings},
                    {"unread", unread}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void line(std::string& out, const std::string& name, const std::string& value) {
  if (!value.empty()) out += padded(name, 10) + value + "\n";
}

std::string words(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& each : all) out += (out.empty() ? "" : " ") + each;
  return out;
}

std::string cpu_text(const fleet::Processor& cpu) {
  std::string out = fmt::format("{} cores, {} threads", cpu.cores > 0 ? std::to_string(cpu.cores) : "?", cpu.threads);
  if (cpu.quota > 0) out += fmt::format(", of which the control group allows {:g}", cpu.quota);
  if (cpu.numa_nodes > 1) out += fmt::format(", {} NUMA nodes", cpu.numa_nodes);
  return out + (cpu.model.empty() ? "" : "; " + cpu.model) + (cpu.simd.empty() ? "" : "; " + words(cpu.simd));
}

std::string memory_text(const fleet::Machine& machine) {
  const fleet::MainMemory& memory = machine.memory;
  std::string out = size_text(memory.total) + ", " + size_text(memory.free_now()) + " free";
  if (memory.limit > 0) out += ", limited to " + size_text(memory.limit) + " by the control group";
  if (machine.memory_rate > 0) out += fmt::format("; all cores read {:.0f} GB/s", machine.memory_rate);
  return out;
}

void gpu_lines(const fleet::Machine& machine, std::string& out) {
  if (machine.gpus.empty()) return line(out, "GPU", "none");
  for (const fleet::Gpu& gpu : machine.gpus) {
    std::string text = gpu.name + ", " + size_text(gpu.memory) + ", " + size_text(gpu.memory_free) + " free";
    if (gpu.utilisation) text += fmt::format(", {} % busy", *gpu.utilisation);
    if (gpu.temperature) text += fmt::format(", {} °C", *gpu.temperature);
    if (gpu.power) text += fmt::format(", {} W", *gpu.power);
    line(out, "GPU", text);
  }
  line(out, "driver", machine.gpu_driver);
}

void storage_lines(const fleet::Machine& machine, std::string& out) {
  const fleet::Disk& disk = machine.disk;
  std::string text = size_text(disk.free) + " free of " + size_text(disk.size) + " at " + disk.folder;
  if (!disk.device.empty()) text += ", " + disk.device + (disk.rotational ? " (rotating)" : "");
  if (disk.read_rate) text += fmt::format("; reads {:.0f} MB/s", *disk.read_rate);
  if (disk.write_rate) text += fmt::format(", writes {:.0f} MB/s", *disk.write_rate);
  line(out, "disk", text);
  for (const fleet::Raid& raid : machine.raids) {
    line(out, "RAID",
         fmt::format("{}: {}, {} of {} disks{}", raid.device, raid.level, raid.working, raid.wanted,
                     raid.rebuild.empty() ? "" : ", " + raid.rebuild));
  }
  for (const fleet::DriveHealth& drive : machine.drives) line(out, "drive", drive.device + ": " + drive.detail);
  for (const fleet::PowerSupply& supply : machine.power_supplies) {
    line(out, "power", supply.name + (supply.working ? ": works" : ": does not work"));
  }
}

void system_lines(const fleet::Machine& machine, std::string& out) {
  for (const fleet::Program& program : machine.programs) {
    if (!program.path.empty())
      line(out, "program", program.name + (program.version.empty() ? "" : " " + program.version) + ", " + program.path);
  }
  for (const fleet::Port& port : machine.ports)
    line(out, "port", port.address + (port.is_free ? " is free" : " is taken"));
  if (machine.clock_synchronised) line(out, "clock", *machine.clock_synchronised ? "synchronised" : "not synchronised");
  if (machine.open_files > 0) line(out, "files", std::to_string(machine.open_files) + " may be open at once");
}

void fit_lines(const std::vector<fleet::Fit>& fits, std::string& out) {
  for (const fleet::Fit& fit : fits) {
    if (!fit.fits) {
      out += "  " + padded(fit.model, 26) + padded("no", 10) + fit.why + "\n";
      continue;
    }
    const std::string speed = fit.tokens_per_second > 0 ? fmt::format("{:.{}f} tok/s", fit.tokens_per_second,
                                                                      fit.tokens_per_second < 10 ? 1 : 0)
                                                        : "";
    out += "  " + padded(fit.model, 26) + padded(fit.quantization, 10) + padded(fit.where, 8) +
           padded(fmt::format("context {}", fit.context), 17) + padded(speed, 13) + fit.why + "\n";
  }
}

std::string as_text(const Report& report) {
  std::string out;
  const fleet::Machine& machine = report.machine;
  line(out, "tier", std::string(fleet::to_string(report.tier.tier)));
  line(out, "", report.tier.missing.empty() ? "" : "for the next one: " + report.tier.missing);
  line(out, "CPU", cpu_text(machine.processor));
  line(out, "memory", memory_text(machine));
  gpu_lines(machine, out);
  storage_lines(machine, out);
  system_lines(machine, out);
  if (!report.store.empty()) {
    out += "\nModels here\n";
    fit_lines(report.store, out);
  }
  out +=
      "\nModels that could be pulled: the best quantization that has room for 8,192 tokens, and one answer's expected "
      "speed\n";
  fit_lines(report.others, out);
  for (const Finding& finding : report.findings) {
    out += "\n" + std::string(finding.severity == Finding::Severity::kProblem ? "problem: " : "warning: ") +
           finding.what + "\n  mend: " + finding.mend + "\n";
  }
  if (!machine.unread.empty()) out += "\nCould not be read\n";
  for (const fleet::Unread& each : machine.unread) out += "  " + each.what + ": " + each.why + "\n";
  return out;
}

int doctor(const Context& context, const DoctorOptions& options) {
  const config::Loaded loaded = context.load_config();
  const config::Server server = loaded.config ? loaded.config->server : config::Server{};
  Report report;
  report.machine = fleet::examine({.root = fleet::Root(options.root),
                                   .data = context.data(),
                                   .addresses = {server.listen.to_string(), server.admin_listen.to_string()},
                                   .measure = options.measure,
                                   .environment = context.environment});
  report.tier = fleet::tier_of(report.machine);
  report.others = fleet::what_fits(report.machine);
  report.findings = fleet::findings_of(report.machine);
  if (const auto models = fleet::Store(context.data() / "models").list(); models) {
    for (const fleet::Model& model : *models) {
      const Result<fleet::GgufDetails> details = fleet::read_gguf_details(model.path);
      if (details) report.store.push_back(fleet::fit_of(report.machine, model.display_name(), *details));
    }
  }
  if (!print(options.json ? as_json(report) : as_text(report))) return kFailed;
  const bool sick = std::ranges::any_of(
      report.findings, [](const Finding& finding) { return finding.severity == Finding::Severity::kProblem; });
  return sick ? kFailed : kFine;
}

}  // namespace

void add_doctor(Command app, Context& context) {
  Command command = app.subcommand("doctor", "What this machine is good for, what is wrong, and how to mend it");
  auto options = std::make_shared<DoctorOptions>();
  command.option("--root", options->root, "Read the hardware from a recorded tree of /proc and /sys")
      .value("DIR")
      .shows_default();
  command.flag("!--no-measure", options->measure, "Leave out the speeds of disk and memory, which take a second");
  command.flag("--json", options->json, "Print everything as JSON");
  command.footer(R"(
Exit code 1: there is a problem, not only warnings.

Examples:
  spillway doctor
  spillway doctor --json)");
  command.action([&context, options] { return doctor(context, *options); });
}

}  // namespace spillway::cli
