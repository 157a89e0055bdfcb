// Our client with a server made of fbtftp.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;

// fbtftp serves reads only. A WRQ gets no answer: "unexpected TFTP opcode 2, expected 1" is all it
// says of it, in its log.

TEST_CASE("our client reads files of every size from fbtftp", "[interop][fbtftp]") {
    const program peer = require_peer("fbtftp");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_fbtftp(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    // It does not know windowsize; a request for 64 blocks must end in a transfer block by block.
    table.every_size(direction::read, {{}}, by, server.address());
    table.every_size(
        direction::read, settings({8, 512, 1468, 65464}, {1, 64}), by, server.address()
    );
    table.octet(direction::read, wrap_size, {512, 1}, by, server.address());
    CHECK(table.cells() == 55);
}

TEST_CASE("our client reads files of every size from fbtftp over IPv6", "[interop][fbtftp]") {
    const program peer = require_peer("fbtftp");
    const program ours = our_tftp();
    need_ipv6();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_fbtftp(peer, "::1", table.root());
    table.every_size(direction::read, {{1468, 1}}, tftp_client(ours), server.address());
    CHECK(table.cells() == 6);
}

TEST_CASE("fbtftp grants the block and leaves the window out", "[interop][fbtftp]") {
    const program peer = require_peer("fbtftp");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_fbtftp(peer, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, 64}, tftp_client(ours), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.answers.size() == 1);
    const auto granted = options_in(seen.answers[0]);
    CHECK(granted.at("blksize") == "1468");
    CHECK(granted.count("windowsize") == 0);
    CHECK(table.cells() == 1);
}

TEST_CASE("our client reads netascii from fbtftp", "[interop][fbtftp]") {
    const program peer = require_peer("fbtftp");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_fbtftp(peer, "127.0.0.1", table.root());
    const std::string text = make_line_ends();
    for (const setting& options : {setting{}, setting{512, 1}, setting{1468, 1}}) {
        table.netascii(direction::read, {text, text}, options, tftp_client(ours), server.address());
    }
    CHECK(table.cells() == 3);
}

TEST_CASE("our client and fbtftp bear the loss of packets", "[interop][fbtftp][loss]") {
    const program peer = require_peer("fbtftp");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version + ", with loss"};
    const running_server server = start_fbtftp(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        // Each block lost costs a second, the shortest wait fbtftp can be told.
        table.labelled(to_string(pattern), direction::read, 25'600, {512, 1}, by, relay.address());
        CHECK(relay.seen().dropped > 3);
    }
    CHECK(table.cells() == 3);
}
