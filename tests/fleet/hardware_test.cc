#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/hardware/gpus.h"
#include "fleet/hardware/power.h"
#include "fleet/hardware/processor.h"
#include "fleet/hardware/storage.h"
#include "fleet/hardware/tier.h"
#include "fleet/hardware/tool.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

constexpr std::uint64_t kGiB = 1ull << 30;

void put(const testing::TemporaryFolder& folder, const std::string& path, const std::string& text) {
  folder.write(path, text);
}

// Linux' Documentation/admin-guide/md.rst, and machines.
TEST(Mdstat, tells_level_members_and_what_failed) {
  const auto raids = parse_mdstat(R"(Personalities : [raid1] [raid10]
md0 : active raid10 sdd1[3] sdc1[2](F) sdb1[1] sda1[0]
      1953260544 blocks super 1.2 512K chunks 2 near-copies [4/3] [UU_U]
      [==>..................]  recovery = 12.6% (123456/976630272) finish=89.3min speed=127123K/sec
      bitmap: 1/15 pages [4KB], 65536KB chunk

md127 : inactive sde1[0](S)
      976630272 blocks super 1.2

md1 : active (auto-read-only) raid1 sdf1[0] sdg1[1]
      976630272 blocks super 1.2 [2/2] [UU]

unused devices: <none>
)");
  ASSERT_EQ(raids.size(), 3u);
  EXPECT_EQ(raids[0].device, "md0");
  EXPECT_EQ(raids[0].level, "raid10");
  EXPECT_THAT(raids[0].members, ElementsAre("sdd1", "sdc1(F)", "sdb1", "sda1"));
  EXPECT_TRUE(raids[0].degraded());
  EXPECT_EQ(raids[0].rebuild, "recovery = 12.6%");
  EXPECT_FALSE(raids[1].active);
  EXPECT_EQ(raids[2].level, "raid1");
  EXPECT_FALSE(raids[2].degraded());
  EXPECT_TRUE(parse_mdstat("Personalities : \nunused devices: <none>\n").empty());
  EXPECT_TRUE(parse_mdstat("\xff : : [ / ] blocks").empty());
}

TEST(Ipmi, tells_which_supply_failed) {
  const auto supplies = parse_ipmi(R"(PSU1 Status      | C8h | ok  | 10.1 | Presence detected
PSU1 Input       | 6Fh | ok  | 10.1 | 210 Watts
PSU2 Status      | C9h | ok  | 10.2 | Presence detected, Power Supply AC lost
PSU3 Status      | CAh | ns  | 10.3 | No Reading
)");
  ASSERT_EQ(supplies.size(), 2u);
  EXPECT_TRUE(supplies[0].working);
  EXPECT_EQ(supplies[1].name, "PSU2");
  EXPECT_FALSE(supplies[1].working);
}

TEST(Hwmon, a_supply_with_an_alarm_does_not_work) {
  testing::TemporaryFolder folder;
  for (const std::string device : {"hwmon0", "hwmon1", "hwmon2"}) {
    const std::string at = "sys/class/hwmon/" + device + "/";
    put(folder, at + "name", device == "hwmon2" ? "coretemp\n" : "pfe3000\n");
    if (device == "hwmon2") continue;
    put(folder, at + "in1_label", "vin\n");
    put(folder, at + "power2_label", "pout1\n");
    put(folder, at + "in1_lcrit_alarm", device == "hwmon1" ? "1\n" : "0\n");
  }
  std::vector<Unread> unread;
  const auto supplies = read_power_supplies(Root(folder.path()), unread);
  ASSERT_EQ(supplies.size(), 2u);
  EXPECT_TRUE(supplies[0].working);
  EXPECT_FALSE(supplies[1].working);
  EXPECT_THAT(supplies[1].detail, HasSubstr("in1_lcrit_alarm"));
}

TEST(ControlGroup, of_version_two_limits_by_the_narrowest_above) {
  testing::TemporaryFolder folder;
  put(folder, "proc/self/cgroup", "0::/a/b\n");
  put(folder, "proc/meminfo", "MemTotal:       65536000 kB\nMemAvailable:   60000000 kB\nSwapTotal: 0 kB\n");
  put(folder, "proc/cpuinfo",
      "processor\t: 0\ncore id\t: 0\nprocessor\t: 1\ncore id\t: 0\nprocessor\t: 2\ncore id\t: 1\nflags\t: fpu avx2 "
      "avx512f\n");
  put(folder, "sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  put(folder, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  put(folder, "sys/fs/cgroup/a/memory.max", std::to_string(8 * kGiB) + "\n");
  put(folder, "sys/fs/cgroup/a/memory.current", std::to_string(6 * kGiB) + "\n");
  put(folder, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file " + std::to_string(2 * kGiB) + "\n");
  put(folder, "sys/fs/cgroup/a/b/memory.max", "max\n");
  const Root root(folder.path());
  const MainMemory memory = read_memory(root);
  EXPECT_EQ(memory.total, 65'536'000ull * 1024);
  EXPECT_EQ(memory.usable(), 8 * kGiB);
  EXPECT_EQ(memory.free_now(), 4 * kGiB);
  const Processor processor = read_processor(root);
  EXPECT_EQ(processor.threads, 3);
  EXPECT_EQ(processor.cores, 2);
  EXPECT_DOUBLE_EQ(processor.usable(), 1.5);
  EXPECT_THAT(processor.simd, ElementsAre("avx2", "avx512f"));
}

TEST(ControlGroup, of_version_one_is_read_too) {
  testing::TemporaryFolder folder;
  put(folder, "proc/self/cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/\n");
  put(folder, "proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n");
  put(folder, "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "104857600\n");
  put(folder, "sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "4857600\n");
  put(folder, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put(folder, "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "50000\n");
  put(folder, "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(read_memory(Root(folder.path())).free_now(), 100'000'000u);
  EXPECT_DOUBLE_EQ(read_processor(Root(folder.path())).quota, 0.5);
}

TEST(Gpus, are_told_apart_by_their_whole_name) {
  EXPECT_EQ(bandwidth_of("NVIDIA A100-SXM4-80GB"), 2039);
  EXPECT_EQ(bandwidth_of("NVIDIA A100 80GB PCIe"), 1935);
  EXPECT_EQ(bandwidth_of("NVIDIA A100-SXM4-40GB"), 1555);
  EXPECT_EQ(bandwidth_of("Tesla T4"), 320);
  EXPECT_EQ(bandwidth_of("NVIDIA L4"), 300);
  EXPECT_EQ(bandwidth_of("NVIDIA L40S"), 864);
  EXPECT_EQ(bandwidth_of("NVIDIA H100 80GB HBM3"), 3350);
  EXPECT_EQ(bandwidth_of("NVIDIA GeForce GT 430"), 0);
}

TEST(Gpus, errors_in_the_kernels_log_are_of_one_card) {
  const std::string log =
      "6,1,2,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus.\n"
      "6,1,2,-;NVRM: Xid (PCI:0000:3b:00): 79, again\n6,1,2,-;NVRM: Xid (PCI:0000:86:00): 48, DBE\n";
  EXPECT_THAT(xids_of(log, "0000:3b:00"), ElementsAre(79u));
  EXPECT_TRUE(xids_of(log, "").empty());
}

TEST(Tool, that_does_not_end_is_ended) {
  const TimePoint begin = now();
  EXPECT_FALSE(run_tool("/bin/sleep", {"20"}, milliseconds(50)).ok());
  EXPECT_LT(now() - begin, seconds(5));
  EXPECT_EQ(*run_tool("/bin/echo", {"a b"}, milliseconds(5000)), "a b\n");
  EXPECT_FALSE(run_tool("/nowhere", {}, milliseconds(50)).ok());
}

Machine machine_of(int cores, double gigabytes, std::vector<Gpu> gpus) {
  Machine out;
  out.processor.cores = out.processor.threads = cores;
  out.memory.total = out.memory.available = static_cast<std::uint64_t>(gigabytes * 1e9);
  out.memory_rate = 20;
  out.gpus = std::move(gpus);
  return out;
}

Gpu card(const std::string& name, double gigabytes) {
  Gpu out;
  out.name = name;
  out.memory = static_cast<std::uint64_t>(gigabytes * 1e9);
  out.bandwidth = bandwidth_of(name);
  return out;
}

TEST(Tier, is_the_highest_whose_needs_are_all_there) {
  const Gpu t4 = card("Tesla T4", 15.8);
  const Gpu a100 = card("NVIDIA A100-SXM4-80GB", 85);
  const auto tier = [](const Machine& machine) { return to_string(tier_of(machine).tier); };
  EXPECT_EQ(tier(machine_of(8, 32, {t4})), "basic");
  EXPECT_EQ(tier(machine_of(16, 67, {a100})), "standard");
  EXPECT_EQ(tier(machine_of(32, 128, {a100, a100})), "enterprise");
  EXPECT_EQ(tier(machine_of(32, 128, {a100})), "standard");
  EXPECT_EQ(tier(machine_of(64, 512, {t4})), "basic");
  EXPECT_EQ(tier(machine_of(64, 512, {})), "device");
  EXPECT_EQ(tier(machine_of(2, 4, {})), "device");
  EXPECT_EQ(tier(machine_of(1, 1, {})), "cloud-only");
  EXPECT_THAT(tier_of(machine_of(8, 16, {})).missing, HasSubstr("32 GB of memory"));
  EXPECT_EQ(tier_of(machine_of(32, 128, {a100, a100})).missing, "");
}

Fit fit_named(const Machine& machine, const std::string& name) {
  for (const Fit& fit : what_fits(machine)) {
    if (fit.model == name) return fit;
  }
  return {};
}

TEST(Fits, follow_memory_and_its_rate) {
  const Machine basic = machine_of(8, 32, {card("Tesla T4", 15.8)});
  const Fit seven = fit_named(basic, "Qwen2.5 7B");
  EXPECT_EQ(seven.where, "GPU");
  EXPECT_EQ(seven.quantization, "Q8_0");  // F16 does not fit
  EXPECT_NEAR(seven.tokens_per_second, 320e9 * 0.65 / (7.62e9 * 8.5 / 8), 1);
  const Fit huge = fit_named(basic, "DeepSeek V3 671B");
  EXPECT_FALSE(huge.fits);
  EXPECT_THAT(huge.why, HasSubstr("needs 346 GB at Q3_K_M"));
  const Machine two = machine_of(32, 128, {card("NVIDIA A100-SXM4-80GB", 85), card("NVIDIA A100-SXM4-80GB", 85)});
  EXPECT_EQ(fit_named(two, "Llama 3.3 70B").where, "GPU");
  // 671 billion bytes and their cache: not on eight cards of 80 GB, but on eight of 141.
  std::vector<Gpu> eight(8, card("NVIDIA H200", 141));
  const Fit r1 = fit_named(machine_of(96, 1000, eight), "DeepSeek V3 671B");
  EXPECT_EQ(r1.where, "8 GPUs");
  EXPECT_EQ(r1.quantization, "Q8_0");
}

TEST(Findings, name_what_is_broken_before_what_may_break) {
  Machine machine = machine_of(8, 32, {card("Tesla T4", 15.8)});
  machine.gpus[0].ecc_errors = 3;
  machine.gpus[0].xids = {79};
  machine.power_supplies = {{"PSU1", true, ""}, {"PSU2", false, "AC lost"}};
  machine.raids = parse_mdstat("md0 : active raid10 sdb1[1] sda1[0](F)\n 1 blocks [2/1] [_U]\n");
  const auto findings = findings_of(machine);
  ASSERT_GE(findings.size(), 5u);
  const auto says = [](const std::string& text) { return Contains(Field(&Finding::what, HasSubstr(text))); };
  EXPECT_EQ(findings[0].severity, Finding::Severity::kProblem);
  EXPECT_EQ(findings.back().severity, Finding::Severity::kWarning);
  for (const char* text : {"md0 (raid10) is degraded: 1 of 2 disks work; failed: sda1", "PSU2 does not work: AC lost",
                           "3 uncorrected memory errors", "Xid 79", "one GPU"}) {
    EXPECT_THAT(findings, says(text));
  }
  for (const Finding& finding : findings) EXPECT_NE(finding.mend, "");
}

}  // namespace
}  // namespace spillway::fleet
