// curl with our server.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;

TEST_CASE("curl exchanges files of every size with our server", "[interop][curl]") {
    const program peer = require_peer("curl");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = curl_client(peer);
    // curl knows no windowsize. Reading an empty file with options works only because our OACK then
    // holds no tsize: curl takes tsize 0 for an error and ends with exit code 71.
    const std::vector<setting> all{{}, {8, {}}, {512, {}}, {1468, {}}, {65464, {}}};
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, {}}, by, server.address());
    }
    CHECK(table.cells() == 62);
}

TEST_CASE("curl exchanges files of every size with our server over IPv6", "[interop][curl]") {
    const program peer = require_peer("curl");
    const program ours = our_tftpd();
    need_ipv6();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "::1", table.root());
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{1468, {}}}, curl_client(peer), server.address());
    }
    CHECK(table.cells() == 12);
}

TEST_CASE("our server grants curl the block it asks for", "[interop][curl]") {
    const program peer = require_peer("curl");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, {}}, curl_client(peer), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.answers.size() == 1);
    const auto granted = options_in(seen.answers[0]);
    CHECK(granted.at("blksize") == "1468");
    CHECK(granted.at("tsize") == "100000");
    CHECK(table.cells() == 1);
}

TEST_CASE("curl exchanges netascii with our server in wire form", "[interop][curl]") {
    const program peer = require_peer("curl");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = curl_client(peer);
    // curl names the mode and converts nothing: it stores, and sends, the wire form.
    const std::string text = make_line_ends();
    const std::string wire = netascii_wire_form(text);
    table.netascii(direction::read, {text, wire}, {}, by, server.address());
    table.netascii(direction::write, {wire, text}, {}, by, server.address());
    CHECK(table.cells() == 2);
}

TEST_CASE("curl and our server bear the loss of packets", "[interop][curl][loss]") {
    const program peer = require_peer("curl");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version + ", with loss"};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = curl_client(peer);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 204'800, {}, by, relay.address());
        CHECK(relay.seen().dropped > 30);
        // With options curl asks for a timeout of six seconds, which our server grants and keeps:
        // each loss costs as much, hence twenty blocks.
        table.labelled(label + ", few", direction::read, 29'360, {1468, {}}, by, relay.address());
    }
    // No uploads: there curl holds the timer, and it repeats a block after 72 seconds.
    CHECK(table.cells() == 6);
}
