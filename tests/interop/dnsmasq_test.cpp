// Our client with the TFTP server of dnsmasq, which knows no port but 69 and therefore runs, with
// everything else of this program, in a network of its own.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace tftp::test;

// dnsmasq serves reads only: a WRQ gets no answer.

TEST_CASE("our client reads files of every size from dnsmasq", "[interop][dnsmasq]") {
    const program peer = require_peer("dnsmasq");
    const program ours = our_tftp();
    need(enter_private_network);
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_dnsmasq(peer, table.root());
    const client by = tftp_client(ours);
    // It does not know windowsize; a request for 64 blocks must end in a transfer block by block.
    table.every_size(direction::read, {{}}, by, server.address());
    table.every_size(
        direction::read, settings({8, 512, 1468, 65464}, {1, 64}), by, server.address()
    );
    table.octet(direction::read, wrap_size, {512, 1}, by, server.address());
    CHECK(table.cells() == 55);
}

TEST_CASE("our client reads files of every size from dnsmasq over IPv6", "[interop][dnsmasq]") {
    const program peer = require_peer("dnsmasq");
    const program ours = our_tftp();
    need(enter_private_network);
    need_ipv6();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_dnsmasq(peer, table.root());
    table.every_size(
        direction::read, {{1468, 1}}, tftp_client(ours), {"::1", server.address().port}
    );
    CHECK(table.cells() == 6);
}

TEST_CASE("dnsmasq grants a smaller block and leaves the window out", "[interop][dnsmasq]") {
    const program peer = require_peer("dnsmasq");
    const program ours = our_tftp();
    need(enter_private_network);
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_dnsmasq(peer, table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {65464, 64}, tftp_client(ours), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.answers.size() == 1);
    const auto granted = options_in(seen.answers[0]);
    // Blocks go through the buffer for DNS packets; 2.90 cuts them to 2263 bytes.
    CHECK(std::stoi(granted.at("blksize")) < 65464);
    CHECK(granted.count("windowsize") == 0);
    CHECK(table.cells() == 1);
}

TEST_CASE("our client reads netascii from dnsmasq", "[interop][dnsmasq]") {
    const program peer = require_peer("dnsmasq");
    const program ours = our_tftp();
    need(enter_private_network);
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_dnsmasq(peer, table.root());
    // It turns LF into CR LF and sends CR as it is, without the NUL. A CR in front of a LF is then
    // CR CR LF on the wire, and every CR still arrives, because none of these is followed by NUL.
    const std::string text = make_line_ends();
    for (const setting& options : {setting{}, setting{512, 1}, setting{1468, 1}}) {
        table.netascii(direction::read, {text, text}, options, tftp_client(ours), server.address());
    }
    CHECK(table.cells() == 3);
}

TEST_CASE("our client and dnsmasq bear the loss of packets", "[interop][dnsmasq][loss]") {
    const program peer = require_peer("dnsmasq");
    const program ours = our_tftp();
    need(enter_private_network);
    exchange table{ours.version + " with " + peer.version + ", with loss"};
    const running_server server = start_dnsmasq(peer, table.root());
    const client by = tftp_client(ours);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        // Each block lost costs two seconds or more.
        table.labelled(to_string(pattern), direction::read, 25'600, {512, 1}, by, relay.address());
        CHECK(relay.seen().dropped > 3);
    }
    CHECK(table.cells() == 3);
}
