// Our client with atftpd.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;

TEST_CASE("our client exchanges files of every size with atftpd", "[interop][atftpd]") {
    const program peer = require_peer("atftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    // It sends the last ACK before the data is in the file.
    table.server_writes_late();
    const running_server server = start_atftpd(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    // Blocks smaller than its own OACK, some 50 bytes with our three options, are refused.
    const std::vector<setting> all = settings({64, 512, 1468, 65464}, {1, 4, 64});
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{}}, by, server.address());
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, 1}, by, server.address());
        table.octet(way, wrap_size, {512, 64}, by, server.address());
    }
    CHECK(table.cells() == 160);
}

TEST_CASE("atftpd grants our client the block and window it asks for", "[interop][atftpd]") {
    const program peer = require_peer("atftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_atftpd(peer, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, 4}, tftp_client(ours), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.answers.size() == 1);
    const auto granted = options_in(seen.answers[0]);
    CHECK(granted.at("blksize") == "1468");
    CHECK(granted.at("windowsize") == "4");
    CHECK(table.cells() == 1);
}

TEST_CASE("our client goes without options when atftpd refuses small blocks", "[interop][atftpd]") {
    const program peer = require_peer("atftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    const running_server server = start_atftpd(peer, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    // Legal, and yet ERROR 8: it wants the OACK to be no longer than a block.
    table.octet(direction::read, 100'000, {8, 1}, tftp_client(ours), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.requests.size() == 2);
    CHECK(options_in(seen.requests[0]).at("blksize") == "8");
    CHECK(options_in(seen.requests[1]).empty());
    CHECK(table.cells() == 1);
}

TEST_CASE("our client exchanges netascii with atftpd", "[interop][atftpd]") {
    const program peer = require_peer("atftpd");
    const program ours = our_tftp();
    exchange table{ours.version + " with " + peer.version};
    table.server_writes_late();
    const running_server server = start_atftpd(peer, "127.0.0.1", table.root());
    const client by = tftp_client(ours);
    const std::string text = make_line_ends();
    for (const direction way : {direction::read, direction::write}) {
        for (const setting& options : {setting{}, setting{512, 1}, setting{512, 4}}) {
            table.netascii(way, {text, text}, options, by, server.address());
        }
    }
    CHECK(table.cells() == 6);
}

// No transfer over a lossy link: what atftpd 0.8.0 sends in place of a lost DATA is a datagram of
// three bytes, 00 03 00, which no client can take for a block. No transfer over IPv6: bound to ::1
// it logs its start and answers nothing.
