// The client of tftp-hpa with our server. It sends no options at all, and its exit code is 0
// whatever happened: only the files tell.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;

TEST_CASE("tftp-hpa exchanges files of every size with our server", "[interop][tftp_hpa]") {
    const program peer = require_peer("tftp-hpa");
    const program ours = our_tftpd();
    need_address_beside("127.0.0.1");
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = tftp_hpa_client(peer);
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, by, server.address());
        table.octet(way, wrap_size, {}, by, server.address());
    }
    CHECK(table.cells() == 14);
}

TEST_CASE(
    "tftp-hpa exchanges files of every size with our server over IPv6", "[interop][tftp_hpa]"
) {
    const program peer = require_peer("tftp-hpa");
    const program ours = our_tftpd();
    need_ipv6();
    need_address_beside("::1");
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "::1", table.root());
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, tftp_hpa_client(peer), server.address());
    }
    CHECK(table.cells() == 12);
}

TEST_CASE("tftp-hpa exchanges netascii with our server", "[interop][tftp_hpa]") {
    const program peer = require_peer("tftp-hpa");
    const program ours = our_tftpd();
    need_address_beside("127.0.0.1");
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const std::string text = make_line_ends();
    for (const direction way : {direction::read, direction::write}) {
        table.netascii(way, {text, text}, {}, tftp_hpa_client(peer), server.address());
    }
    CHECK(table.cells() == 2);
}

TEST_CASE("tftp-hpa and our server bear the loss of packets", "[interop][tftp_hpa][loss]") {
    const program peer = require_peer("tftp-hpa");
    const program ours = our_tftpd();
    need_address_beside("127.0.0.1");
    exchange table{peer.version + " with " + ours.version + ", with loss"};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = tftp_hpa_client(peer);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 204'800, {}, by, relay.address());
        CHECK(relay.seen().dropped > 30);
        CHECK(options_in(relay.seen().requests.at(0)).empty());
        // On uploads it holds the timer, waits five seconds for each loss, and gives up after 25
        // without an answer: twenty blocks.
        table.labelled(label, direction::write, 10'240, {}, by, relay.address());
    }
    CHECK(table.cells() == 6);
}
