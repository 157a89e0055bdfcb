// The TFTP client of BusyBox with our server.
#include "interop/exchange.hpp"
#include "interop/oack.hpp"
#include "interop/servers.hpp"
#include "support/lossy_relay.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("BusyBox exchanges files of every size with our server", "[interop][busybox]") {
    const program peer = require_peer("busybox");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = busybox_client(peer);
    // It knows neither windowsize nor netascii. It writes its request into the buffer for one
    // block: 64 bytes are enough for name and options here, 40 are not ("remote filename is too
    // long").
    const std::vector<setting> all{{}, {64, {}}, {512, {}}, {1468, {}}, {65464, {}}};
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, all, by, server.address());
        table.octet(way, wrap_size, {512, {}}, by, server.address());
    }
    CHECK(table.cells() == 62);
}

TEST_CASE("BusyBox exchanges files of every size with our server over IPv6", "[interop][busybox]") {
    const program peer = require_peer("busybox");
    const program ours = our_tftpd();
    need_ipv6();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "::1", table.root());
    for (const direction way : {direction::read, direction::write}) {
        table.every_size(way, {{1468, {}}}, busybox_client(peer), server.address());
    }
    CHECK(table.cells() == 12);
}

TEST_CASE("BusyBox refuses a block of 8 octets by itself", "[interop][busybox]") {
    const program peer = require_peer("busybox");
    const program ours = our_tftpd();
    const temp_dir root;
    write_file(root.path() / "file", "content");
    const running_server server = start_tftpd(ours, "127.0.0.1", root.path());
    const lossy_relay tap{server.address()};
    const transfer what{direction::read, tap.address(), "file", root.path() / "copy", 8, {}, false};
    CHECK(run(busybox_client(peer)(what), 20s).status == 1);
    CHECK(tap.seen().requests.empty());
}

TEST_CASE("our server grants BusyBox the block it asks for", "[interop][busybox]") {
    const program peer = require_peer("busybox");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const lossy_relay tap{server.address()};
    table.octet(direction::read, 100'000, {1468, {}}, busybox_client(peer), tap.address());
    const auto seen = tap.seen();
    REQUIRE(seen.answers.size() == 1);
    // An OACK without blksize would do harm: BusyBox keeps its own size and ends, with exit code 0,
    // after the first block of 512 bytes.
    CHECK(options_in(seen.answers[0]).at("blksize") == "1468");
    CHECK(table.cells() == 1);
}

TEST_CASE("BusyBox and our server bear the loss of packets", "[interop][busybox][loss]") {
    const program peer = require_peer("busybox");
    const program ours = our_tftpd();
    exchange table{peer.version + " with " + ours.version + ", with loss"};
    const running_server server = start_tftpd(ours, "127.0.0.1", table.root());
    const client by = busybox_client(peer);
    for (const loss_pattern& pattern : loss_patterns) {
        const lossy_relay relay{server.address(), pattern};
        const std::string label = to_string(pattern);
        table.labelled(label, direction::read, 1 << 20, {1468, {}}, by, relay.address());
        // On uploads it holds the timer, 100 ms doubling: a hundred blocks.
        table.labelled(label, direction::write, 51'200, {512, {}}, by, relay.address());
        CHECK(relay.seen().dropped > 50);
    }
    CHECK(table.cells() == 6);
}
