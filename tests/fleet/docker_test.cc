#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "fleet/launcher/docker/api.h"
#include "fleet/launcher/docker/container.h"
#include "fleet/launcher/docker/image.h"
#include "fleet/launcher/docker/log_frames.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet::docker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha256:" + std::string(64, 'c');

TEST(ChainId, of_one_layer_is_its_own_digest_and_of_more_as_oci_says) {
  EXPECT_EQ(chain_id({}), "");
  EXPECT_EQ(chain_id(std::array{kA}), kA);
  // printf '%s %s' sha256:aa… sha256:bb… | sha256sum; that and sha256:cc… again.
  EXPECT_EQ(chain_id(std::array{kA, kB}), "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
  EXPECT_EQ(chain_id(std::array{kA, kB, kC}),
            "sha256:c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588");
}

TEST(Image, passes_by_its_repository_or_its_layers_and_by_nothing_else) {
  const std::string inspected = R"({"Id":"sha256:1d","RepoDigests":["quay.io/x/y@)" + kA +
                                R"("],"RootFS":{"Type":"layers","Layers":[")" + kB + R"("]}})";
  for (const std::string& digest : {kA, kB}) {
    const auto image = verify_image(inspected, "x/y:1", digest);
    ASSERT_TRUE(image.ok()) << image.error().message;
    EXPECT_EQ(image->id, "sha256:1d");
  }
  const auto wrong = verify_image(inspected, "x/y:1", kC);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  for (const std::string& part : {kA, kB, kC, std::string("x/y:1")})
    EXPECT_THAT(wrong.error().message, HasSubstr(part));
  for (const char* broken : {"", "[]", "{}", R"({"Id":7})", R"({"Id":"a","RepoDigests":[7,"", "@"],"RootFS":[]})",
                             R"({"Id":"a","RepoDigests":null,"RootFS":{"Layers":[{}]}})"}) {
    EXPECT_FALSE(verify_image(broken, "x", kA).ok()) << broken;
    EXPECT_FALSE(verify_image(broken, "x", "").ok()) << broken;
  }
}

TEST(PinnedDigest, stands_in_the_reference_or_beside_it) {
  EXPECT_EQ(pinned_digest("x/y@" + kA, ""), kA);
  EXPECT_EQ(pinned_digest("localhost:5000/x:1", kB), kB);
}

TEST(DockerSocket, is_a_unix_socket) {
  const auto of = [](std::optional<std::string> host) {
    return socket_of([host](const std::string& name) { return name == "DOCKER_HOST" ? host : std::nullopt; });
  };
  EXPECT_EQ(of(std::nullopt).value(), "/var/run/docker.sock");
  EXPECT_EQ(of("").value(), "/var/run/docker.sock");
  EXPECT_EQ(of("unix:///x/y").value(), "/x/y");
  EXPECT_FALSE(of("tcp://127.0.0.1:2375").ok());
  EXPECT_FALSE(of("unix://").ok());
}

TEST(LogFrames, are_read_wherever_they_are_cut) {
  using namespace std::string_literals;
  const std::string bytes = "\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\0\1\0\0\0\0\0\1\1"s + std::string(257, 'x');
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    LogFrames frames;
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += size)
      frames.feed(std::string_view(bytes).substr(at, size), [&](std::string_view piece) { text += piece; });
    ASSERT_EQ(text, "abc" + std::string(257, 'x')) << size;
  }
}

// --- containers: golden files in tests/fleet/containers, written anew with SPILLWAY_UPDATE_GOLDEN=1 -----------------

class ContainerTest : public ::testing::Test {
 protected:
  ContainerTest() {
    plan_.backend.name = "local/2";
    plan_.backend.engine = "llama.cpp";
    plan_.backend.model = "smollm2:135m";
    plan_.engine = find_engine("llama.cpp");
    plan_.program = "/app/llama-server";
    plan_.model.path = "/dev/null";  // a path that is there on any machine
  }
  [[nodiscard]] ContainerSpec make(const Access& access = {4711, "secret-key"}) const {
    ContainerSpec spec = make_container(plan_, kA, kB, "0123456789abcdef", access);
    spec.user = "1000:1000";
    return spec;
  }
  static void expect_golden(const std::string& name, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path(CONTAINER_SHAPES) / name;
    if (std::getenv("SPILLWAY_UPDATE_GOLDEN") != nullptr) std::ofstream(file) << text;
    EXPECT_EQ(testing::content_of(file), text) << name;
  }

  ReplicaPlan plan_;
};

TEST_F(ContainerTest, is_said_alike_to_the_daemon_a_shell_and_compose) {
  expect_golden("plain.json", create_body(make()) + "\n");
  plan_.backend.cpus = 1.5;
  plan_.backend.memory = 512u << 20;
  plan_.backend.gpus = {"0", "GPU-1"};
  plan_.backend.engine_args = {"--note", "a $HOME \"b\" `c` \\d"};
  const ContainerSpec spec = make({18'001, std::string(kKeyReference)});
  expect_golden("bounded.json", create_body(spec) + "\n");
  expect_golden("bounded.sh", run_command(spec));
  plan_.backend.gpus = {"all"};
  expect_golden("two.compose.yaml", compose_file(std::array{spec, make()}));
}

TEST_F(ContainerTest, of_the_same_run_differ_in_port_and_key_alone) {
  const ContainerSpec one = make();
  const ContainerSpec other = make({4712, "another"});
  EXPECT_EQ(one.run, other.run);
  EXPECT_EQ(one.name, other.name);
  EXPECT_NE(create_body(one), create_body(other));
  const std::string before = one.run;
  for (const auto& change : std::vector<std::function<void(config::Backend&)>>{
           [](auto& b) { b.context = 512; }, [](auto& b) { b.cpus = 1; }, [](auto& b) { b.memory = 1u << 30; },
           [](auto& b) { b.gpus = {"all"}; }, [](auto& b) { b.engine_args = {"--x"}; }}) {
    const config::Backend kept = plan_.backend;
    change(plan_.backend);
    EXPECT_NE(make().run, before);
    plan_.backend = kept;
  }
  EXPECT_NE(make_container(plan_, kA, kC, "0123456789abcdef", {}).run, before);
}

TEST_F(ContainerTest, knows_no_variable_of_ours) {
  ::setenv("DEEPSEEK_API_KEY", "sk-secret", 1);
  EXPECT_THAT(create_body(make()), Not(HasSubstr("sk-secret")));
  ::unsetenv("DEEPSEEK_API_KEY");
}

TEST(Owner, is_the_data_folder_however_it_is_named) {
  testing::TemporaryFolder folder;
  folder.write("data/x", "");
  EXPECT_EQ(owner_of(folder.path() / "data"), owner_of(folder.path() / "data/../data"));
  EXPECT_NE(owner_of(folder.path() / "data"), owner_of(folder.path() / "other"));
  EXPECT_EQ(owner_of(folder.path()).size(), 16U);
}

TEST(DockerApi, a_refusal_is_told_whatever_it_is_made_of) {
  for (const char* const body : {R"({"message": 5})", R"({"message": null})", R"({"message": {"a": 1}})", "[]", "5",
                                 "null", "no json", "", R"({"error": "x"})"}) {
    Answer answer;
    answer.status = 500;
    answer.body = body;
    EXPECT_EQ(refusal(answer, "it failed").message, "it failed: Docker says: status 500") << body;
  }
  Answer answer;
  answer.status = 404;
  answer.body = R"({"message":"no such image"})";
  EXPECT_EQ(refusal(answer, "it failed").message, "it failed: Docker says: no such image");
  EXPECT_EQ(refusal(answer, "it failed").code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace spillway::fleet::docker
