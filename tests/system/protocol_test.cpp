#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::Matches;

namespace {

/// Sends a request that is surely answered at once and checks that its answer is the next datagram:
/// what was sent before was met with silence. Needs --threads 1, so that answers keep their order.
void check_nothing_came(udp_client& client, const tftp::endpoint& where) {
    client.send(where, rrq("is-anything-queued"));
    const arrived answer = next(client);
    CHECK(error_code_of(answer) == 1);
    CHECK(answer.from == where);
}

} // namespace

TEST_CASE("tftpd sends files of every size around a block", "[system][tftpd][rfc1350]") {
    daemon_process daemon;
    for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 1024U, 70000U}) {
        INFO(size);
        const std::string content = make_content(size, size);
        write_file(daemon.root() / "file", content);
        CHECK(fetch(daemon.server(), "file") == content);
    }
}

TEST_CASE("tftpd transfers from a port of its own", "[system][tftpd][rfc1350]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", "content");
    udp_client first;
    udp_client second;
    const arrived one = ask(first, daemon.server(), rrq("file"));
    const arrived two = ask(second, daemon.server(), rrq("file"));
    CHECK(one.from.same_host(daemon.server()));
    CHECK(one.from != daemon.server());
    CHECK(two.from != daemon.server());
    CHECK(one.from != two.from);
}

TEST_CASE("tftpd answers options with exactly what was asked", "[system][tftpd][rfc2347]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", std::string(3000, 'x'));
    write_file(daemon.root() / "empty", "");
    udp_client client;
    const auto answer_to = [&](const char* name, const option_pairs& options) {
        return ask(client, daemon.server(), rrq(name, options)).octets;
    };

    SECTION("in the client's order and spelling, nothing behind it") {
        CHECK(
            answer_to("file", {{"TSize", "0"}, {"blksize", "1408"}}) ==
            oack({{"TSize", "3000"}, {"blksize", "1408"}})
        );
        CHECK(
            answer_to("file", {{"windowsize", "4"}, {"timeout", "5"}, {"blksize", "1468"}}) ==
            oack({{"windowsize", "4"}, {"timeout", "5"}, {"blksize", "1468"}})
        );
    }
    SECTION("the true size, whatever the client believes") {
        CHECK(answer_to("file", {{"tsize", "777"}}) == oack({{"tsize", "3000"}}));
    }
    SECTION("no size of an empty file, which a client refuses to read as 0") {
        CHECK(
            answer_to("empty", {{"tsize", "0"}, {"blksize", "1024"}}) == oack({{"blksize", "1024"}})
        );
        CHECK(answer_to("empty", {{"tsize", "0"}}) == data_of(1, ""));
    }
    SECTION("never more than the limits, nothing unknown or out of range") {
        CHECK(answer_to("file", {{"windowsize", "65535"}}) == oack({{"windowsize", "256"}}));
        CHECK(
            answer_to("file", {{"blksize", "65465"}}).size() == oack({{"blksize", "65464"}}).size()
        );
        CHECK(
            answer_to("file", {{"multicast", ""}, {"blksize", "7"}, {"tsize", "0"}}) ==
            oack({{"tsize", "3000"}})
        );
        CHECK(opcode_of({{}, answer_to("file", {{"timeout", "0"}, {"blksize", "-1"}})}) == 3);
    }
    SECTION("one answer to an option that comes twice") {
        CHECK(
            answer_to("file", {{"blksize", "600"}, {"BLKSIZE", "700"}}) ==
            oack({{"blksize", "600"}})
        );
    }
}

TEST_CASE("the limits of the command line bound what is granted", "[system][tftpd]") {
    daemon_process daemon({"--blksize-max=1000", "--windowsize-max=8", "--timeout-policy=decline"});
    write_file(daemon.root() / "file", std::string(3000, 'x'));
    udp_client client;
    const option_pairs asked = {{"blksize", "1428"}, {"timeout", "3"}, {"windowsize", "64"}};
    CHECK(
        ask(client, daemon.server(), rrq("file", asked)).octets ==
        oack({{"blksize", "1000"}, {"windowsize", "8"}})
    );
}

TEST_CASE("tftpd sends a window of blocks", "[system][tftpd][rfc7440]") {
    daemon_process daemon;
    const std::string content = make_content(512 * 4 + 100, 1);
    write_file(daemon.root() / "file", content);
    udp_client client;
    const option_pairs patient = {{"windowsize", "4"}, {"timeout", "60"}};
    const arrived answer = ask(client, daemon.server(), rrq("file", patient));
    CHECK(answer.octets == oack(patient));
    client.send(answer.from, ack(0));
    for (std::uint16_t block = 1; block <= 4; ++block) {
        const arrived data = next(client);
        CHECK(data.octets == data_of(block, block_of(content, block)));
    }
    CHECK(ask(client, answer.from, ack(4)).octets == data_of(5, block_of(content, 5)));
    client.send(answer.from, ack(5));
    CHECK_THAT(daemon.line("\"file\""), EndsWith(" retransmitted 0 ok"));
}

TEST_CASE("tftpd repeats an OACK that was lost, and DATA that was", "[system][tftpd][rfc2347]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", "content");
    udp_client client;
    const arrived first = ask(client, daemon.server(), rrq("file", {{"tsize", "0"}}));
    const arrived again = next(client);
    CHECK(again == first);
    const arrived data = ask(client, first.from, ack(0));
    CHECK(data.octets == data_of(1, "content"));
    const arrived data_again = next(client);
    CHECK(data_again == data);
    client.send(first.from, ack(1));
    CHECK_THAT(daemon.line("\"file\""), Matches(".* retransmitted [1-9] ok"));
}

TEST_CASE("tftpd joins a repeated request to its transfer", "[system][tftpd]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", "content");
    udp_client client;
    const datagram request = rrq("file", {{"blksize", "1408"}, {"tsize", "0"}});
    const arrived first = ask(client, daemon.server(), request);
    const arrived second = ask(client, daemon.server(), request);
    CHECK(second == first);
    CHECK(fetch_rest(client, ask(client, first.from, ack(0)), 1408) == "content");
}

TEST_CASE("tftpd lets a new request of one port replace its transfer", "[system][tftpd]") {
    daemon_process daemon({"--threads", "1", "--verbose"});
    write_file(daemon.root() / "first", std::string(5000, 'x'));
    write_file(daemon.root() / "second", "content");
    udp_client client;
    const arrived old = ask(client, daemon.server(), rrq("first"));
    const arrived block = ask(client, old.from, ack(1));
    REQUIRE(opcode_of(block) == 3);
    // No ERROR comes first: it would hit the new transfer. Until that is answered the old one goes
    // on.
    client.send(daemon.server(), rrq("second"));
    const arrived fresh = next_after(client, block);
    CHECK(fresh.octets == data_of(1, "content"));
    CHECK(fresh.from != old.from);
    client.send(fresh.from, ack(1));
    CHECK_THAT(daemon.line("\"first\""), Contains("A newer request of the same client"));
    CHECK_THAT(daemon.line("\"second\""), EndsWith(" ok"));
}

TEST_CASE("tftpd ends a size probe quietly", "[system][tftpd]") {
    const char* const aborted = "User aborted the transfer";
    SECTION("without a word to the client, and one in the log when asked for") {
        daemon_process daemon({"--threads", "1", "--verbose"});
        write_file(daemon.root() / "file", "content");
        udp_client client;
        const arrived answer = ask(client, daemon.server(), rrq("file", {{"tsize", "0"}}));
        client.send(answer.from, error_packet(8, aborted));
        CHECK_THAT(daemon.line("\"file\""), Contains("The client only asked for the size"));
        check_nothing_came(client, daemon.server());
    }
    SECTION("without a line otherwise") {
        daemon_process daemon({"--threads", "1"});
        write_file(daemon.root() / "file", "content");
        udp_client client;
        const arrived answer = ask(client, daemon.server(), rrq("file", {{"tsize", "0"}}));
        client.send(answer.from, error_packet(8, aborted));
        CHECK(fetch(daemon.server(), "file") == "content");
        CHECK_THAT(daemon.line("\"file\""), EndsWith(" ok"));
    }
}

TEST_CASE("tftpd never answers an ERROR", "[system][tftpd][rfc1350]") {
    daemon_process daemon({"--threads", "1"});
    write_file(daemon.root() / "file", std::string(5000, 'x'));
    udp_client client;

    SECTION("to the listening port") {
        client.send(daemon.server(), error_packet(0));
        client.send(daemon.server(), error_packet(4, ""));
        client.send(daemon.server(), octets("\0\5\0"sv));
        check_nothing_came(client, daemon.server());
    }
    SECTION("of a stranger to a transfer") {
        const arrived answer = ask(client, daemon.server(), rrq("file"));
        udp_client other;
        other.send(answer.from, error_packet(0));
        REQUIRE(opcode_of(ask(client, answer.from, ack(1))) == 3);
        check_nothing_came(other, daemon.server());
    }
    SECTION("of the client to its transfer") {
        const arrived answer = ask(client, daemon.server(), rrq("file"));
        client.send(answer.from, error_packet(3, "no room"));
        CHECK_THAT(daemon.line("\"file\""), EndsWith("client: error 3 \"no room\""));
        check_nothing_came(client, daemon.server());
    }
}

TEST_CASE("tftpd ignores what is no request on its port", "[system][tftpd]") {
    daemon_process daemon({"--threads", "1"});
    udp_client client;
    client.send(daemon.server(), ack(1));
    client.send(daemon.server(), data(1));
    client.send(daemon.server(), oack({{"blksize", "512"}}));
    client.send(daemon.server(), octets("\0\7"sv));
    client.send(daemon.server(), octets("\1"sv));
    client.send(daemon.server(), {});
    check_nothing_came(client, daemon.server());
}

TEST_CASE("a stranger gets ERROR 5 and the transfer goes on", "[system][tftpd][rfc1350]") {
    daemon_process daemon;
    const std::string content = make_content(2000, 7);
    write_file(daemon.root() / "file", content);
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    udp_client other;
    const arrived told = ask(other, answer.from, ack(1));
    CHECK(error_code_of(told) == 5);
    CHECK(told.from == answer.from);
    udp_client other_host(tftp::endpoint::ipv4(127, 0, 0, 3, client.local().port));
    CHECK(error_code_of(ask(other_host, answer.from, ack(1))) == 5);
    CHECK(fetch_rest(client, answer) == content);
}

TEST_CASE("an ACK of five octets counts as one", "[system][tftpd]") {
    daemon_process daemon;
    write_file(daemon.root() / "file", std::string(600, 'x'));
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    const arrived second = ask(client, answer.from, ack_of_windows(1, std::byte{64}));
    CHECK(second.octets == data_of(2, std::string(88, 'x')));
    client.send(answer.from, ack_of_windows(2, std::byte{64}));
    CHECK_THAT(daemon.line("\"file\""), EndsWith(" ok"));
}

TEST_CASE("a duplicate ACK causes no DATA", "[system][tftpd][rfc1123]") {
    daemon_process daemon;
    const std::string content = make_content(3000, 5);
    write_file(daemon.root() / "file", content);
    udp_client client;
    // Longer than the test: a repeat could only be caused by an ACK.
    const datagram request = rrq("file", {{"timeout", "60"}});
    const arrived answer = ask(client, daemon.server(), request);
    for (std::uint16_t block = 0; block <= 5; ++block) {
        client.send(answer.from, ack(block));
        client.send(answer.from, ack(block));
        const arrived following = next(client);
        CHECK(
            following.octets ==
            data_of(static_cast<std::uint16_t>(block + 1), block_of(content, block + 1U))
        );
    }
    client.send(answer.from, ack(6));
    CHECK_THAT(daemon.line("\"file\""), EndsWith(" retransmitted 0 ok"));
}

TEST_CASE("mail and other modes are refused with ERROR 4", "[system][tftpd][rfc1350]") {
    daemon_process daemon({"--writable", "create"});
    write_file(daemon.root() / "file", "content");
    udp_client client;
    for (const char* mode : {"mail", "binary", "", "octets"}) {
        INFO(mode);
        const arrived refused = ask(client, daemon.server(), rrq("file", {}, mode));
        CHECK(refused.octets == error_packet(4, "unsupported transfer mode"));
        CHECK(error_code_of(ask(client, daemon.server(), wrq("new", {}, mode))) == 4);
    }
    CHECK(fetch(daemon.server(), "file", "OcTeT") == "content");
    CHECK(!std::filesystem::exists(daemon.root() / "new"));
}

TEST_CASE("tftpd converts netascii", "[system][tftpd][rfc764]") {
    daemon_process daemon({"--writable", "create"});
    SECTION("of files it sends") {
        write_file(daemon.root() / "file", "one\ntwo\rthree\n");
        CHECK(fetch(daemon.server(), "file", "netascii") == "one\r\ntwo\r\0three\r\n"sv);
    }
    SECTION("of files it stores") {
        udp_client client;
        const arrived ready = ask(client, daemon.server(), wrq("file", {}, "NetASCII"));
        CHECK(ready.octets == ack(0));
        CHECK(store_rest(client, ready.from, "one\r\ntwo\r\0three\r\n"sv).octets == ack(1));
        CHECK(holds(daemon.root() / "file", "one\ntwo\rthree\n"));
    }
    SECTION("and gives no size of it, which it does not know") {
        write_file(daemon.root() / "file", "one\n");
        udp_client client;
        const datagram request = rrq("file", {{"tsize", "0"}, {"blksize", "600"}}, "netascii");
        CHECK(ask(client, daemon.server(), request).octets == oack({{"blksize", "600"}}));
    }
}

TEST_CASE("the block number rolls over as told", "[system][tftpd]") {
    const std::string content = make_content(8 * 65537 + 3, 9);
    /// What follows block 65534, or the code of the ERROR.
    const auto last_blocks = [&](const char* rollover) {
        daemon_process daemon({"--rollover", rollover});
        write_file(daemon.root() / "file", content);
        udp_client client;
        const datagram request = rrq("file", {{"blksize", "8"}, {"windowsize", "32"}});
        const tftp::endpoint transfer = ask(client, daemon.server(), request).from;
        std::vector<unsigned> tail;
        unsigned last = 0;
        client.send(transfer, ack(0));
        while (tail.size() < 4) {
            const arrived message = next(client);
            if (const auto code = error_code_of(message)) {
                return std::vector<unsigned>{*code};
            }
            const unsigned block = std::to_integer<unsigned>(message.octets.at(2)) << 8 |
                                   std::to_integer<unsigned>(message.octets.at(3));
            const bool follows = block == last + 1 || (last == 65535 && block < 2);
            last = follows ? block : last;
            if (follows && (last == 65535 || !tail.empty())) {
                tail.push_back(last);
            }
            if (!follows || block % 32 == 0) {
                client.send(transfer, ack(static_cast<std::uint16_t>(last)));
            }
        }
        return tail;
    };
    CHECK(last_blocks("0") == std::vector<unsigned>{65535, 0, 1, 2});
    CHECK(last_blocks("1") == std::vector<unsigned>{65535, 1, 2, 3});
    // Refused before the first block: a client would have wasted its time.
    CHECK(last_blocks("none") == std::vector<unsigned>{3});
}

TEST_CASE("--max-half-open bounds who has not answered yet", "[system][tftpd]") {
    daemon_process daemon({"--threads", "1", "--max-half-open", "1", "--verbose"});
    write_file(daemon.root() / "file", make_content(600, 1));
    udp_client first;
    udp_client second;
    const arrived crowded_out = ask(first, daemon.server(), rrq("file"));
    const arrived answer = ask(second, daemon.server(), rrq("file"));
    CHECK_THAT(daemon.line("Never acknowledged"), Contains(std::to_string(first.local().port)));
    CHECK(ask(second, answer.from, ack(1)).octets.size() == 4 + 88);
    CHECK(opcode_of(crowded_out) == 3);
}

TEST_CASE("a busy server says so", "[system][tftpd]") {
    daemon_process daemon({"--threads", "1", "--max-transfers", "1"});
    write_file(daemon.root() / "file", make_content(600, 1));
    udp_client first;
    udp_client second;
    const arrived answer = ask(first, daemon.server(), rrq("file"));
    // A client that answers keeps its place; one that never does would make room.
    REQUIRE(ask(first, answer.from, ack(1)).octets.size() == 4 + 88);
    const arrived refused = ask(second, daemon.server(), rrq("file"));
    CHECK(error_code_of(refused) == 0);
    CHECK_THAT(text(refused.octets), Contains("server busy"));
    CHECK_THAT(daemon.line("Too many"), Contains("Too many transfers are under way"));
    first.send(answer.from, ack(2));
    CHECK_THAT(daemon.line(" ok"), Contains("\"file\""));
    CHECK(fetch(daemon.server(), "file") == make_content(600, 1));
}
