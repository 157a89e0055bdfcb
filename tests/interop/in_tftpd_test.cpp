// Our client with the server of tftp-hpa.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("our client exchanges files of every size with in.tftpd", "[interop][in_tftpd]") {
    const program peer = require_peer("in.tftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    table.server_writes_late(); // The last ACK leaves before the file is closed.
    const running_server server = start_in_tftpd(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    // It does not know windowsize; a request for 64 blocks must end in a transfer block by block.
    const std::vector<setting> all = settings({8, 512, 1468, 65464}, {1, 64});
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, by, server.address());
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, 1}, by, server.address());
    }
    CHECK(table.cells() == 110);
}

TEST_CASE(
    "our client exchanges files of every size with in.tftpd over IPv6", "[interop][in_tftpd]"
) {
    const program peer = require_peer("in.tftpd");
    const program ours = our_tftp();
    need_ipv6();
    exchange table{ours.version + " with " + peer.version};
    table.server_writes_late();
    const running_server server = start_in_tftpd(peer, "::1", table.root());
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{1468, 1}}, tftp_client(ours), server.address());
    }
    CHECK(table.cells() == 12);
}

TEST_CASE("in.tftpd grants the block and leaves the window out", "[interop][in_tftpd]") {
    const program peer = require_peer("in.tftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_in_tftpd(peer, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, 64}, tftp_client(ours), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.requests.size() == 1);
    CHECK(options_in(seen.requests[0]).at("windowsize") == "64");
    REQUIRE(seen.answers.size() == 1);
    const auto granted = options_in(seen.answers[0]);
    CHECK(granted.at("blksize") == "1468");
    CHECK(granted.count("windowsize") == 0);
    CHECK(table.cells() == 1);
}

TEST_CASE("our client exchanges netascii with in.tftpd", "[interop][in_tftpd]") {
    const program peer = require_peer("in.tftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    table.server_writes_late();
    const running_server server = start_in_tftpd(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    const std::string text = make_line_ends();
    for (const direction way : {direction::read, direction::write}) {
        for (const setting& options : {setting{}, setting{512, 1}, setting{1468, 1}}) {
            table.netascii(way, {text, text}, options, by, server.address());
        }
    }
    CHECK(table.cells() == 6);
}

TEST_CASE("our client and in.tftpd bear the loss of packets", "[interop][in_tftpd][loss]") {
    const program peer = require_peer("in.tftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version + ", with loss"};
    table.server_writes_late();
    // Its first repeat after 100 ms, not the second it waits by default, keeps the read short.
    const running_server server = start_in_tftpd(peer, "127.0.0.1", table.root(), 100ms);
    const client by = tftp_client(ours);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 51'200, {512, 1}, by, relay.address());
        table.labelled(label, direction::write, 1 << 20, {1468, 1}, by, relay.address());
        CHECK(relay.seen().dropped > 50);
    }
    CHECK(table.cells() == 6);
}
