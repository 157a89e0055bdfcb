// What happens in the situations that real networks and real firmware make.

#include <catch2/catch.hpp>

#include <cstdint>
#include <sim/presets.hpp>
#include <vector>

namespace {

using namespace tftp;
using namespace tftp::sim;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Nothing gets through from `from` until `until`.
link_config::interval dark(duration from, duration until) {
    return {from, until};
}

report run_whole(const schedule& plan, std::uint64_t seed = 1) {
    const report seen = run(plan, seed, false);
    CHECK_FALSE(seen.receiver(plan).outcome.failed());
    CHECK(seen.receiver(plan).committed);
    CHECK(seen.receiver(plan).bytes_stored == plan.size);
    return seen;
}

schedule field_read(std::uint64_t size, const field_client_config& client) {
    schedule s = plain_read(size, milliseconds(1));
    s.field_client = client;
    return s;
}

std::uint64_t blocks_of(std::uint64_t size, std::uint64_t blksize) {
    return size / blksize + 1;
}

} // namespace

TEST_CASE("every size arrives whole, both ways", "[sim][rfc1350]") {
    const bool read = GENERATE(true, false);
    const std::uint64_t size = GENERATE(0U, 1U, 511U, 512U, 513U, 1024U, 5120U, 100'000U);
    schedule plan = plain_read(size, milliseconds(1));
    plan.read = read;
    const report seen = run_whole(plan);
    CHECK(seen.sender(plan).data_sent == blocks_of(size, 512));
    CHECK_FALSE(seen.sender(plan).outcome.failed());
    CHECK(seen.client.counters.retransmissions + seen.server.counters.retransmissions == 0);
}

TEST_CASE("an empty file asked with all options arrives", "[sim][rfc2349]") {
    schedule plan = plain_read(0, milliseconds(1));
    plan.asked = {1428, 16, seconds(2), 0};
    const report seen = run_whole(plan);
    CHECK(seen.client.agreed.windowsize == 16);
    CHECK_FALSE(seen.client.agreed.tsize);
}

TEST_CASE("a server without options serves a client that asks for all", "[sim][rfc2347]") {
    schedule plan = plain_read(50'000, milliseconds(1));
    plan.read = GENERATE(true, false);
    plan.asked = {1428, 16, seconds(2), plan.read ? 0 : plan.size};
    plan.ignores_options = true;
    const report seen = run_whole(plan);
    CHECK(seen.client.agreed == parameters{});
    CHECK(seen.sender(plan).data_sent == blocks_of(plan.size, 512));
}

TEST_CASE("a lost OACK is sent again", "[sim][rfc2347]") {
    schedule plan = plain_read(50'000, milliseconds(1));
    plan.read = GENERATE(true, false);
    plan.asked.blksize = 1024;
    plan.to_client.blackouts = {dark(milliseconds(0), milliseconds(900))};
    const report seen = run_whole(plan);
    CHECK(seen.transfers == 1);
    CHECK(seen.client.agreed.blksize == 1024);
    CHECK(seen.client.completed_at - network::start < milliseconds(1500));
}

TEST_CASE("a repeated request opens no second transfer", "[sim][rfc1350]") {
    schedule plan = plain_read(50'000, milliseconds(1));
    plan.read = GENERATE(true, false);
    plan.asked.blksize = 1024;
    plan.to_server.duplicate_ppm = 1'000'000;
    const report seen = run_whole(plan);
    CHECK(seen.transfers == 1);
}

TEST_CASE("a request that opens two transfers uses one and ends the other", "[sim][rfc1350]") {
    schedule plan = plain_read(50'000, milliseconds(1));
    plan.read = GENERATE(true, false);
    plan.joins = false;
    plan.to_server.duplicate_ppm = 1'000'000;
    const report seen = run_whole(plan);
    CHECK(seen.transfers == 2);
    CHECK(seen.client.counters.strangers >= 1);
}

TEST_CASE("a lost final ACK is repeated by a receiver that stays", "[sim][rfc1350]") {
    // The final DATA of a write leaves after 2.5 round trips and its first ACK is lost.
    schedule plan = plain_write(600, milliseconds(100));
    plan.to_client.blackouts = {dark(milliseconds(240), milliseconds(260))};
    const report seen = run_whole(plan);
    CHECK_FALSE(seen.client.outcome.failed());
    CHECK(seen.client.counters.retransmissions == 1);
    CHECK(seen.server.acks_sent == 4);
}

TEST_CASE("a sender without its final ACK says that all was sent", "[sim][rfc1350]") {
    schedule plan = plain_read(600, milliseconds(100));
    plan.to_server.blackouts = {dark(milliseconds(140), seconds(100))};
    const report seen = run(plan, 1, false);
    CHECK_FALSE(seen.client.outcome.failed());
    CHECK(seen.server.outcome == error_code(errc::timed_out));
    CHECK(seen.server.counters.all_sent);
}

TEST_CASE("a client that hears nothing gives up after 31 s", "[sim][timeout]") {
    schedule plan = plain_read(600, milliseconds(1));
    plan.read = GENERATE(true, false);
    plan.to_server.blackouts = {dark(seconds(0), seconds(1000))};
    const report seen = run(plan, 1, false);
    CHECK(seen.client.outcome == error_code(errc::timed_out));
    CHECK(seen.client.completed_at - network::start == seconds(31));
    CHECK(seen.to_server.offered == 5);
}

TEST_CASE("a source that never answers costs few packets", "[sim][reflection]") {
    schedule plan = plain_read(100'000, milliseconds(1));
    if (GENERATE(false, true)) {
        plan.asked.windowsize = 16;
    }
    plan.to_client.blackouts = {dark(seconds(0), seconds(1000))};
    plan.to_server.blackouts = {dark(milliseconds(1), seconds(1000))};
    const report seen = run(plan, 1, false);
    CHECK(seen.server.outcome == error_code(errc::timed_out));
    CHECK(seen.to_client.offered <= 8);
}

TEST_CASE("a transfer cut in the middle is given up on both sides", "[sim][timeout]") {
    schedule plan = plain_read(1'000'000, milliseconds(1));
    plan.read = GENERATE(true, false);
    const duration cut = milliseconds(100);
    plan.to_server.blackouts = {dark(cut, seconds(1000))};
    plan.to_client.blackouts = {dark(cut, seconds(1000))};
    const report seen = run(plan, 1, false);
    for (const side_report* side : {&seen.client, &seen.server}) {
        CHECK(side->outcome == error_code(errc::timed_out));
        CHECK(side->completed_at - network::start >= cut + seconds(59));
        CHECK(side->completed_at - network::start <= cut + seconds(66));
    }
}

TEST_CASE("a receiver whose ACKs are lost gives up too", "[sim][timeout]") {
    // The sender repeats its block for longer than the receiver waits.
    schedule plan = plain_read(1'000'000, milliseconds(1));
    plan.server.give_up = seconds(300);
    plan.to_server.blackouts = {dark(milliseconds(100), seconds(1000))};
    const report seen = run(plan, 1, false);
    CHECK(seen.client.outcome == error_code(errc::timed_out));
    CHECK(seen.client.completed_at - network::start <= seconds(70));
}

TEST_CASE("block numbers wrap as agreed, both ways", "[sim][rollover]") {
    const rollover wrap = GENERATE(rollover::to_zero, rollover::to_one);
    // Beyond 65535 blocks, and beyond the second wrap of either kind.
    const std::uint64_t blocks = GENERATE(65'540U, 131'080U);
    schedule plan = plain_read(blocks * 8 - 3, microseconds(100));
    plan.read = GENERATE(true, false);
    plan.asked.blksize = 8;
    plan.asked.windowsize = GENERATE(std::uint16_t{1}, std::uint16_t{64});
    plan.client.wrap = wrap;
    plan.server.wrap = wrap;
    if (plan.asked.windowsize == 64) {
        lose(plan, 500);
    }
    const report seen = run_whole(plan);
    CHECK(seen.receiver(plan).counters.blocks == blocks);
}

TEST_CASE("forbidden rollover ends before block 65536", "[sim][rollover]") {
    schedule plan = plain_read(65'535 * 8 - 1 + GENERATE(0U, 1U, 100U), microseconds(100));
    plan.read = GENERATE(true, false);
    plan.asked.blksize = 8;
    plan.asked.windowsize = 64;
    const bool by_sender = GENERATE(true, false);
    (by_sender == plan.read ? plan.server : plan.client).wrap = rollover::forbidden;
    (plan.read ? plan.server_driver : plan.client_driver).size_unknown = GENERATE(true, false);
    const report seen = run(plan, 1, false);
    const side_report& forbids = by_sender ? seen.sender(plan) : seen.receiver(plan);
    const side_report& other = by_sender ? seen.receiver(plan) : seen.sender(plan);
    if (plan.size < 65'535 * 8) {
        CHECK_FALSE(forbids.outcome.failed());
        CHECK(seen.receiver(plan).committed);
    } else {
        CHECK(forbids.outcome == error_code(errc::rollover_forbidden));
        CHECK(other.outcome == error_code(peer_errc::disk_full));
        CHECK_FALSE(seen.receiver(plan).committed);
    }
}

TEST_CASE("a negotiated timeout is kept or only bounds the interval", "[sim][rfc2349]") {
    schedule plan = plain_read(50'000, milliseconds(1));
    plan.asked.timeout = seconds(5);
    // One DATA is lost; the client asks again after 5 s as well.
    plan.to_client.blackouts = {dark(milliseconds(10), milliseconds(11))};
    const bool honours = GENERATE(true, false);
    plan.client.timeouts = timeout_policy::honour;
    plan.server.timeouts = honours ? timeout_policy::honour : timeout_policy::ceiling;
    const report seen = run_whole(plan);
    const duration took = seen.client.completed_at - network::start;
    CHECK(seen.server.agreed.timeout == seconds(5));
    if (honours) {
        CHECK(took > seconds(5));
        CHECK(took < seconds(6));
    } else {
        CHECK(took < seconds(1));
    }
}

TEST_CASE("a long commit is waited for and acknowledged once", "[sim][rfc1350]") {
    schedule plan = plain_write(50'000, milliseconds(1));
    plan.asked.windowsize = GENERATE(std::uint16_t{1}, std::uint16_t{16});
    plan.server_driver.commit_lag = seconds(10);
    const report seen = run_whole(plan, 3);
    CHECK_FALSE(seen.client.outcome.failed());
}

TEST_CASE("U-Boot with a window of 16 on a lossy wire ends in good time", "[sim][uboot]") {
    field_client_config client;
    client.asked = {1468, 16, GENERATE(seconds(1), seconds(5)), std::nullopt};
    client.repeats = std::vector<duration>(10, *client.asked.timeout);
    client.acks_each_stray = true;
    schedule plan = field_read(2'000'000, client);
    plan.server.timeouts = timeout_policy::ceiling;
    lose(plan, 5'000);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK(seen.field_client.complete);
        CHECK(seen.server.data_sent < blocks_of(plan.size, 1468) * 3 / 2);
    }
}

TEST_CASE("U-Boot over a wire that copies its ACKs gets no flood", "[sim][uboot]") {
    field_client_config client;
    client.asked = {1468, 16, seconds(5), std::nullopt};
    client.repeats = std::vector<duration>(10, seconds(5));
    client.acks_each_stray = true;
    schedule plan = field_read(2'000'000, client);
    plan.to_server.duplicate_ppm = 1'000'000;
    plan.to_server.duplicate_lag = GENERATE(microseconds(100), microseconds(2000));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK(seen.field_client.complete);
        CHECK(seen.server.data_sent < blocks_of(plan.size, 1468) * 3 / 2);
    }
}

TEST_CASE("GRUB, which never repeats an ACK, gets its file", "[sim][grub]") {
    field_client_config client;
    client.asked = {1024, std::nullopt, std::nullopt, 0};
    client.repeats = {};
    schedule plan = field_read(500'000, client);
    // The RRQ and its answer get through: GRUB would not ask twice.
    plan.to_server.blackouts = {
        dark(milliseconds(50), milliseconds(60)), dark(seconds(1), seconds(20))};
    plan.to_client.blackouts = {
        dark(milliseconds(100), milliseconds(110)), dark(seconds(2), seconds(4))};
    const report seen = run(plan, 1, false);
    CHECK(seen.field_client.complete);
}

TEST_CASE("iPXE, which repeats on its own schedule, gets its file", "[sim][ipxe]") {
    field_client_config client;
    client.asked = {1432, std::nullopt, std::nullopt, 0};
    client.repeats = {milliseconds(250), milliseconds(500), seconds(1), seconds(2), seconds(4)};
    schedule plan = field_read(300'000, client);
    lose(plan, 20'000);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const report seen = run(plan, seed, false);
        CHECK(seen.field_client.complete);
        CHECK(seen.server.data_sent < blocks_of(plan.size, 1432) * 11 / 10);
    }
}

TEST_CASE("iPXE survives three seconds of silence", "[sim][ipxe]") {
    field_client_config client;
    client.asked = {1432, std::nullopt, std::nullopt, 0};
    client.repeats = {milliseconds(250), milliseconds(500), seconds(1), seconds(2), seconds(4)};
    schedule plan = field_read(300'000, client);
    const auto cut = dark(milliseconds(100), milliseconds(3100));
    plan.to_client.blackouts = {cut};
    if (GENERATE(true, false)) {
        plan.to_server.blackouts = {cut};
    }
    const report seen = run(plan, 1, false);
    CHECK(seen.field_client.complete);
}
