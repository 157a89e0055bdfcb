// What the server holds for uploads that are over.
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

std::size_t descriptors_of(pid_t process) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator("/proc/" + std::to_string(process) + "/fd"), {})
    );
}

} // namespace

TEST_CASE("an upload that is whole holds its port only", "[system][tftpd][uploads]") {
    daemon_process daemon({"--threads", "1", "--writable", "create", "--max-per-client", "1000"});
    const std::string content = make_content(1000, 1);
    constexpr std::size_t count = 100;
    std::vector<std::unique_ptr<udp_client>> clients;
    const auto upload = [&](std::size_t number) {
        udp_client& client = *clients.emplace_back(std::make_unique<udp_client>());
        // Its last ACK may be lost, for as long as it waits for it.
        const arrived ready =
            ask(client, daemon.server(), wrq("file" + std::to_string(number), {{"timeout", "60"}}));
        REQUIRE(store_rest(client, ready.from, content).octets == ack(2));
    };
    upload(0);
    const std::size_t before = descriptors_of(daemon.process().id());
    for (std::size_t i = 1; i <= count; ++i) {
        upload(i);
    }
    CHECK(descriptors_of(daemon.process().id()) <= before + count);
    for (std::size_t i = 0; i <= count; ++i) {
        CHECK(holds(daemon.root() / ("file" + std::to_string(i)), content));
    }
}

TEST_CASE("short uploads do not use the descriptors up", "[system][tftpd][uploads]") {
    daemon_process daemon(
        {"--threads", "1", "--writable", "create", "--max-per-client", "10000"},
        {"127.0.0.1:0"},
        {"prlimit", "--nofile=1024:1024"}
    );
    const std::string content = make_content(1000, 1);
    std::vector<std::unique_ptr<udp_client>> clients;
    for (std::size_t i = 0; i < 600; ++i) {
        INFO("upload " << i);
        udp_client& client = *clients.emplace_back(std::make_unique<udp_client>());
        const arrived ready =
            ask(client, daemon.server(), wrq("file" + std::to_string(i), {{"timeout", "60"}}));
        REQUIRE(opcode_of(ready) == 6);
        REQUIRE(store_rest(client, ready.from, content).octets == ack(2));
    }
    CHECK(daemon.serves());
}
