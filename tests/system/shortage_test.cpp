#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// The real daemon when what the system gives runs out.
using namespace tftp::test;

namespace {

std::size_t count_of(std::string_view part, const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

} // namespace

TEST_CASE(
    "out of descriptors: some are refused, it is said once, and it passes", "[system][tftpd]"
) {
    daemon_process daemon({"--threads", "1"}, {"127.0.0.1:0"}, {"prlimit", "--nofile=64:64"});
    const std::string content = make_content(600, 1);
    write_file(daemon.root() / "file", content);
    // Each has acknowledged its first block, so none makes room for another.
    std::vector<std::unique_ptr<udp_client>> busy;
    std::vector<arrived> last;
    std::size_t refused = 0;
    for (int i = 0; i < 100; ++i) {
        auto client = std::make_unique<udp_client>();
        arrived first = ask(*client, daemon.server(), rrq("file"));
        if (error_code_of(first)) {
            CHECK(error_code_of(first) == 0);
            ++refused;
            continue;
        }
        client->send(first.from, ack(1));
        last.push_back(next_after(*client, first));
        busy.push_back(std::move(client));
    }
    CHECK(refused > 20);
    CHECK(busy.size() > 20);
    CHECK_FALSE(daemon.line("shortage: Too many open files").empty());
    // Those that had begun end well.
    for (std::size_t i = 0; i < busy.size(); ++i) {
        CHECK(last[i].octets == data_of(2, block_of(content, 2)));
        busy[i]->send(last[i].from, ack(2));
    }
    for (const auto& client : busy) {
        const std::string ended = tftp::to_string(client->local()) + " read \"file\" 600 bytes";
        CHECK_FALSE(daemon.line(ended).empty());
    }
    // And others are served again.
    for (int i = 0; i < 50; ++i) {
        CHECK(fetch(daemon.server(), "file") == content);
    }
    const std::string log = daemon.process().errors();
    CHECK(count_of("shortage:", log) == 1);
    CHECK(count_of("\"file\" 0 bytes", log) <= 1);
}
