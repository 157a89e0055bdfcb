// atftp with our server.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#define CATCH_CONFIG_ENABLE_PAIR_STRINGMAKER
#include <catch2/catch.hpp>

using namespace tftp::test;

TEST_CASE("atftp exchanges files of every size with our server", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = atftp_client(peer);
    const std::vector<setting> all = settings({8, 512, 1468, 65464}, {1, 4, 64});
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, by, server.address());
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, 1}, by, server.address());
        table.octet(way, wrap_size, {512, 64}, by, server.address());
    }
    CHECK(table.cells() == 160);
}

TEST_CASE("atftp exchanges files of every size with our server over IPv6", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    need_ipv6();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "::1", table.root());
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{1468, 4}}, atftp_client(peer), server.address());
    }
    CHECK(table.cells() == 12);
}

TEST_CASE("our server grants atftp the block and window it asks for", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, 4}, atftp_client(peer), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.requests.size() == 1);
    REQUIRE(seen.answers.size() == 1);
    CHECK(options_in(seen.answers[0]) == options_in(seen.requests[0]));
    CHECK(table.cells() == 1);
}

TEST_CASE("atftp exchanges netascii with our server", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = atftp_client(peer);
    const std::string text = make_line_ends();
    for (const direction way : {direction::read, direction::write}) {
        for (const setting& options : {setting{}, setting{512, 1}, setting{512, 4}}) {
            table.netascii(way, {text, text}, options, by, server.address());
        }
    }
    CHECK(table.cells() == 6);
}

TEST_CASE("atftp and our server bear the loss of packets", "[interop][atftp][loss]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version + ", with loss"};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = atftp_client(peer);
    // The opening arrives: when its ACK of an OACK is lost, atftp ends with "unexpected OACK", and
    // when DATA 1 is, it takes the OACK that is repeated for the ACK of that block. A block that is
    // read twice is acknowledged once more, and never again: one copy of each.
    const loss_pattern patterns[] = {{20, 5, 1, false}, {16, 3, 1, false}, {12, 2, 1, false}};
    for (const loss_pattern& pattern : patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 1 << 20, {1468, 1}, by, relay.address());
        CHECK(relay.seen().dropped > 40);
        // On uploads atftp holds the timer and waits five seconds for each loss: twenty blocks.
        table.labelled(label, direction::write, 10'240, {512, 1}, by, relay.address());
    }
    CHECK(table.cells() == 6);
}
