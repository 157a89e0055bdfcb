// The instruments themselves, shown on peers alone: what they report must be true before it says
// anything about our programs.
#include "interop/exchange.hpp"
#include "interop/peers.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <set>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("a child's output, exit code and signal are reported", "[interop][support]") {
    const run_result fine = run({{"sh", "-c", "echo out; echo err >&2; exit 3"}, {}, {}, -1}, 10s);
    CHECK(fine.status == 3);
    CHECK(fine.output == "out\n");
    CHECK(fine.errors == "err\n");
    CHECK(run({{"sh", "-c", "kill -TERM $$"}, {}, {}, -1}, 10s).status == 128 + SIGTERM);
    CHECK_THROWS_AS(child_process({{"./no such program"}, {}, {}, -1}), std::system_error);
}

TEST_CASE("a child that does not end is given up and killed", "[interop][support]") {
    CHECK_FALSE(run({{"sleep", "1000"}, {}, {}, -1}, 20ms).status);
}

TEST_CASE("no descendant survives a child's destruction", "[interop][support]") {
    pid_t grandchild = 0;
    {
        // The shell ends at once and leaves an orphan that holds both pipes open.
        child_process child{{{"sh", "-c", "sleep 1000 & echo pid $!"}, {}, {}, -1}};
        const auto line = child.wait_for_line("pid ", 10s);
        REQUIRE(line);
        grandchild = std::stoi(line->substr(4));
        REQUIRE(child.wait(10s) == 0);
        REQUIRE(::kill(grandchild, 0) == 0);
    }
    CHECK(::kill(grandchild, 0) != 0);
    CHECK(::waitpid(-1, nullptr, WNOHANG) < 0);
}

TEST_CASE("waiting for a line ends with the line, the stream or the time", "[interop][support]") {
    child_process child{{{"sh", "-c", "echo one; echo two three; printf half"}, {}, {}, -1}};
    CHECK(child.wait_for_line("three", 10s) == "two three");
    CHECK_FALSE(child.wait_for_line("half", 10s)); // Not a whole line when the stream ends.
    child_process silent{{{"sleep", "1000"}, {}, {}, -1}};
    CHECK_FALSE(silent.wait_for_line("word", 20ms));
}

TEST_CASE("line ends fall on both sides of block borders in both forms", "[interop][support]") {
    const std::string text = make_line_ends();
    const auto straddles = [](std::string_view form, std::string_view pair) {
        for (std::size_t border = 512; border < form.size(); border += 512) {
            if (form.substr(border - 1, 2) == pair) {
                return true;
            }
        }
        return false;
    };
    CHECK(straddles(text, "\r\n"));
    CHECK(straddles(netascii_wire_form(text), "\r\n"));
    CHECK(straddles(netascii_wire_form(text), std::string_view{"\r\0", 2}));
    CHECK(netascii_wire_form("a\r\nb\n") == std::string_view{"a\r\0\r\nb\r\n", 8});
}

TEST_CASE("peers exchange files through the harness", "[interop]") {
    const program server_program = require_peer("in.tftpd");
    const program client_program = require_peer("atftp");
    exchange table{"atftp with in.tftpd"};
    running_server server = start_in_tftpd(server_program, "127.0.0.1", table.root());
    const client by = atftp_client(client_program);
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}, {512, {}}, {1468, {}}}, by, server.address());
    }
    CHECK(table.cells() == 36);
}

TEST_CASE("the relay passes on everything, or loses what a pattern says", "[interop][loss]") {
    const program server_program = require_peer("in.tftpd");
    const program client_program = require_peer("atftp");
    exchange table{"atftp with in.tftpd through the relay"};
    running_server server = start_in_tftpd(server_program, "127.0.0.1", table.root(), 20ms);
    const client by = atftp_client(client_program);
    {
        const lossy_relay relay{server.address()};
        table.octet(direction::read, 1 << 20, {1468, {}}, by, relay.address());
        const auto seen = relay.seen();
        CHECK(seen.dropped == 0);
        REQUIRE(seen.requests.size() == 1);
        CHECK(seen.requests[0].find("1468") != std::string::npos);
        CHECK(seen.answers == std::vector<std::string>{std::string{"\0\6blksize\0001468\0", 15}});
    }
    // Of 101 blocks, in this order: those lost of DATA, of their ACKs, the request and the answer.
    // Not two copies of an ACK: atftp answers a repeated DATA once, and in.tftpd is told to be
    // quick here and gives up before atftp's own timer ends.
    const std::pair<loss_pattern, std::size_t> patterns[] = {
        {{20, 5, 1, false}, 5 + 5}, {{16, 1, 1, true}, 7 + 6 + 1}, {{25, 3, 1, false}, 4 + 4}};
    for (const auto& [pattern, lost] : patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 51'200, {}, by, relay.address());
        const auto seen = relay.seen();
        CHECK(seen.dropped == lost);
        CHECK(seen.forwarded >= 200);
    }
}
