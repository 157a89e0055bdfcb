// atftp with our server.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"

#define CATCH_CONFIG_ENABLE_PAIR_STRINGMAKER
#include <catch2/catch.hpp>

using namespace tftp::test;

TEST_CASE("atftp exchanges files of every size with our server", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const running_server server_v6 = start_tftpd(ours, "::1", table.root());
    const client by = atftp_client(peer);
    const std::vector<setting> all = settings({8, 512, 1468, 65464}, {1, 4, 64});
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, by, server.address());
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, 1}, by, server.address());
        table.octet(way, wrap_size, {512, 64}, by, server.address());
        table.every_size(way, {{1468, 4}}, by, server_v6.address());
    }
    CHECK(table.cells() == 172);
}

TEST_CASE("our server grants atftp the block and window it asks for", "[interop][atftp]") {
    const program peer = require_peer("atftp");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const lossy_relay tap{server.address(), 0, 1};
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
    exchange table{peer.version + " with " + ours.version + ", 5 % lost each way"};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = atftp_client(peer);
    const lossy_relay relay{server.address(), 0.05, 1};
    table.labelled("seed 1", direction::read, 1 << 20, {1468, 1}, by, relay.address());
    // On uploads atftp holds the timer and waits five seconds for each loss: twenty blocks.
    table.labelled("seed 1", direction::write, 10'240, {512, 1}, by, relay.address());
    CHECK(relay.seen().dropped > 50);
    CHECK(table.cells() == 2);
}
