#include "examples/dns_responder.hpp"
#include "examples/example.hpp"
#include "support/files.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace tftp::test;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

/// A file with a heading as in /proc/net/tcp, and a line for each socket: its address, its peer
/// and its state in figures.
class recorded_table {
public:
    explicit recorded_table(const std::vector<std::string>& sockets) {
        std::string all = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                          "retrnsmt   uid  timeout inode\n";
        for (const std::string& each : sockets) {
            all +=
                "   0: " + each + " 00000000:00000000 00:00000000 00000000     0        0 4711 1\n";
        }
        write_file(path(), all);
    }

    [[nodiscard]] std::string path() const { return directory_.path() / "table"; }

private:
    temp_dir directory_;
};

const std::string gateway_mac = "\x02\x00\x00\x00\x00\x01"s;
const std::string host_mac = "\x02\x00\x00\x00\x00\x02"s;
const std::string forger_mac = "\x02\x00\x00\x00\x00\x66"s;
const std::string gateway_ip = "\xc0\x00\x02\x01"s;
const std::string host_ip = "\xc0\x00\x02\x02"s;
const std::string no_ip(4, '\0');

/// An ARP packet in an Ethernet frame. operation: 1 asks, 2 answers.
std::string
arp(char operation, const std::string& mac, const std::string& ip, const std::string& target) {
    return std::string(6, '\xff') + mac + "\x08\x06"s + "\0\1\x08\0\6\4\0"s + operation + mac + ip +
           std::string(6, '\0') + target;
}

/// Four bytes, the high one first, or the low one.
std::string word(std::uint32_t value, bool little_endian) {
    std::string out;
    for (unsigned i = 0; i < 4; ++i) {
        out += static_cast<char>((value >> (little_endian ? 8 * i : 24 - 8 * i)) & 0xffU);
    }
    return out;
}

/// A recording (pcap) of an Ethernet, as a machine of that octet order writes it.
std::string recording(
    const std::vector<std::string>& frames,
    bool little_endian = true,
    std::uint32_t magic = 0xa1b2c3d4,
    std::uint32_t link = 1
) {
    const auto number = [&](std::size_t value) {
        return word(static_cast<std::uint32_t>(value), little_endian);
    };
    std::string out = number(magic) + std::string(12, '\0') + number(65535) + number(link);
    for (const std::string& each : frames) {
        out += number(1) + number(2) + number(each.size()) + number(each.size()) + each;
    }
    return out;
}

run_result watch_recording(const std::string& content) {
    const temp_dir directory;
    const std::string file = directory.path() / "recorded.pcap";
    write_file(file, content);
    return run_example({"arp_watch", "--file", file});
}

/// Answers every question with one address.
dns_responder::reaction always(const std::string& address) {
    return [address](udp_client& socket, const dns_question& asked) {
        send_text(socket, asked.from, asked.answer({{dns_type_a, address}}));
    };
}

} // namespace

TEST_CASE("the programs about attacks explain themselves", "[examples][attacks]") {
    for (const char* const name : {"half_open_watch", "arp_watch", "dns_check"}) {
        check_explains_itself(name);
    }
}

// The words of a table are in the octet order of the machine: this one is of little-endian ones.
TEST_CASE("half_open_watch counts for the listener a SYN was meant for", "[examples][attacks]") {
    const recorded_table table({
        "00000000:0050 00000000:0000 0A", // 0.0.0.0:80 listens
        "0100000A:0050 00000000:0000 0A", // 10.0.0.1:80 too, and comes first for its address
        "00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A", // [::]:443
        "0100000A:0050 070000CB:1000 03", // to 10.0.0.1:80
        "0200000A:0050 070000CB:1001 03", // to 10.0.0.2:80
        "0200000A:0050 070000CB:1002 03",
        "0200000A:0050 070000CB:1002 03", // the same once more
        "0200000A:0050 070000CB:1003 01", // established: not half-open
        "0200000A:01BB 070000CB:1004 03", // IPv4, to the listener of [::]:443
        "0000000000000000FFFF00000200000A:01BB 0000000000000000FFFF0000070000CB:1005 03",
        "0200000A:0051 070000CB:1006 03", // nobody listens there any more
    });
    const run_result result =
        run_example({"half_open_watch", "--table", table.path(), "--threshold", "2"});
    CHECK(result.errors.empty());
    CHECK(result.status == 0);
    CHECK(
        result.output == "0.0.0.0:80                   2 half-open, warning: a flood?\n"
                         "10.0.0.1:80                  1 half-open\n"
                         "[::]:443                     2 half-open, warning: a flood?\n"
    );
}

TEST_CASE(
    "half_open_watch refuses what is no table, threshold or interval", "[examples][attacks]"
) {
    const temp_dir directory;
    const std::string file = directory.path() / "file";
    write_file(file, "no table\n");
    const run_result other = run_example({"half_open_watch", "--table", file});
    CHECK(other.status == 1);
    CHECK(other.errors == "half_open_watch: " + file + " is no table of sockets\n");
    const recorded_table broken({"0100000A:0050 070000CB 03"});
    const run_result cut = run_example({"half_open_watch", "--table", broken.path()});
    CHECK(cut.status == 1);
    CHECK(cut.errors == "half_open_watch: a line holds no address\n");
    check_refuses({"half_open_watch", "--threshold", "0"}, "--threshold is a number");
    check_refuses({"half_open_watch", "--interval", "x"}, "--interval is a number");
}

TEST_CASE("arp_watch reports an address that two claim", "[examples][attacks]") {
    const std::vector<std::string> frames{
        arp(1, host_mac, no_ip, host_ip), // asks whether it is free: no claim
        arp(1, host_mac, host_ip, gateway_ip),
        arp(2, gateway_mac, gateway_ip, host_ip),
        arp(2, forger_mac, gateway_ip, host_ip),
        arp(2, forger_mac, gateway_ip, host_ip), // no news
        arp(2, gateway_mac, gateway_ip, host_ip),
        arp(1, forger_mac, host_ip, host_ip),                       // gratuitous
        std::string(12, '\2') + "\x08\x00"s + std::string(46, 'x'), // IPv4
        arp(2, gateway_mac, gateway_ip, host_ip).substr(0, 41),     // cut
    };
    const bool little_endian = GENERATE(true, false);
    const std::uint32_t magic = GENERATE(0xa1b2c3d4U, 0xa1b23c4dU);
    const run_result result = watch_recording(recording(frames, little_endian, magic));
    CHECK(result.errors.empty());
    CHECK(result.status == 0);
    CHECK(
        result.output ==
        "192.0.2.2 is at 02:00:00:00:00:02\n"
        "192.0.2.1 is at 02:00:00:00:00:01\n"
        "CONFLICT: 192.0.2.1 is at 02:00:00:00:00:66; before at 02:00:00:00:00:01\n"
        "CONFLICT: 192.0.2.2 is at 02:00:00:00:00:66, announced to all; before at "
        "02:00:00:00:00:02\n"
        "ARP packets: 7, addresses: 2, conflicts: 2\n"
    );
}

TEST_CASE("arp_watch refuses what is no recording of an Ethernet", "[examples][attacks]") {
    const std::string whole = recording({arp(2, gateway_mac, gateway_ip, host_ip)});
    const auto failure = [](const std::string& content) {
        const run_result result = watch_recording(content);
        CHECK(result.status == 1);
        CHECK(result.errors.find('\n') == result.errors.size() - 1);
        return result.errors;
    };
    CHECK_THAT(failure(""), Contains(" is no pcap file"));
    CHECK_THAT(failure(whole.substr(0, 23)), Contains(" is no pcap file"));
    CHECK_THAT(failure("x" + whole), Contains(" is no pcap file"));
    CHECK_THAT(failure(whole.substr(0, 30)), Contains(" ends within a frame"));
    CHECK_THAT(failure(whole.substr(0, whole.size() - 1)), Contains(" ends within a frame"));
    std::string huge = whole;
    huge.replace(24 + 8, 4, "\xff\xff\xff\xff");
    CHECK_THAT(failure(huge), Contains(" ends within a frame"));
    CHECK_THAT(
        failure(recording({}, true, 0xa1b2c3d4, 113)), Contains(" was not recorded on an Ethernet")
    );
    CHECK(watch_recording(recording({})).output == "ARP packets: 0, addresses: 0, conflicts: 0\n");
}

TEST_CASE("arp_watch wants one place to look", "[examples][attacks]") {
    check_refuses({"arp_watch"}, "one of --interface and --file");
    check_refuses(
        {"arp_watch", "--file", "x", "--interface", "lo"}, "one of --interface and --file"
    );
    check_refuses({"arp_watch", "--interface", "none-such"}, "there is no 'none-such'");
}

TEST_CASE("dns_check finds two honest servers the same", "[examples][attacks]") {
    const dns_responder one(always("\x7f\x01\x01\x01"));
    const dns_responder other(always("\x7f\x01\x01\x01"));
    const run_result result =
        run_example({"dns_check", "www.example.test", one.address(), other.address()});
    CHECK(result.errors.empty());
    CHECK(result.status == 0);
    CHECK_THAT(result.output, Catch::EndsWith("\nthe same\n"));
    REQUIRE(one.questions().size() == 1);
    REQUIRE(other.questions().size() == 1);
    // What a forger would have to guess: each question has its own port, and its own ID but for
    // once in 65536 runs.
    CHECK(one.questions()[0].name == "www.example.test");
    CHECK_THAT(
        result.output,
        Contains("asked from port " + std::to_string(one.questions()[0].from.port) + " with ID ")
    );
    CHECK(result.output.find("warning") == std::string::npos);
}

TEST_CASE("dns_check reports what only one of two servers says", "[examples][attacks]") {
    const dns_responder honest(always("\x7f\x01\x01\x01"));
    const dns_responder liar(always("\x7f\x06\x06\x06"));
    const run_result result =
        run_example({"dns_check", "www.example.test", honest.address(), liar.address()});
    CHECK(result.status == 1);
    CHECK_THAT(result.output, Contains("only " + honest.address() + " says A 127.1.1.1\n"));
    CHECK_THAT(result.output, Contains("only " + liar.address() + " says A 127.6.6.6\n"));
    CHECK_THAT(result.output, Catch::EndsWith("\ndifferent\n"));

    const dns_responder denies([](udp_client& socket, const dns_question& asked) {
        send_text(socket, asked.from, asked.answer({}, dns_nxdomain));
    });
    const run_result denied =
        run_example({"dns_check", "www.example.test", honest.address(), denies.address()});
    CHECK(denied.status == 1);
    CHECK_THAT(denied.output, Contains("only " + denies.address() + " says NXDOMAIN\n"));
}

TEST_CASE("dns_check believes only the server, the ID and the question", "[examples][attacks]") {
    const std::string lie = "\x7f\x06\x06\x06";
    udp_client stranger;
    const dns_responder attacked([&](udp_client& socket, const dns_question& asked) {
        const std::string forged = asked.answer({{dns_type_a, lie}});
        send_text(stranger, asked.from, forged);
        std::string wrong_id = forged;
        wrong_id[1] = static_cast<char>(wrong_id[1] ^ 1);
        send_text(socket, asked.from, wrong_id);
        std::string wrong_question = forged;
        wrong_question[13] = 'x';
        send_text(socket, asked.from, wrong_question);
        send_text(socket, asked.from, asked.octets);
        send_text(socket, asked.from, "short");
        send_text(socket, asked.from, asked.answer({{dns_type_a, "\x7f\x01\x01\x01"}}));
    });
    const dns_responder quiet(always("\x7f\x01\x01\x01"));
    const run_result result =
        run_example({"dns_check", "www.example.test", attacked.address(), quiet.address()});
    INFO(result.output);
    CHECK(result.errors.empty());
    CHECK(result.status == 0);
    const std::string from_stranger = tftp::to_string(stranger.local());
    CHECK_THAT(
        result.output, Contains(": ignored, from " + from_stranger + ": that one was not asked\n")
    );
    const std::string from_server = ": ignored, from " + attacked.address() + ": it ";
    CHECK_THAT(result.output, Contains(from_server + "has ID "));
    CHECK_THAT(result.output, Contains(from_server + "answers another question\n"));
    CHECK_THAT(result.output, Contains(from_server + "is a question itself\n"));
    CHECK_THAT(result.output, Contains(from_server + "is no DNS message\n"));
    CHECK_THAT(result.output, Contains("warning: 5 replies did not match"));
    CHECK(result.output.find("127.6.6.6") == std::string::npos);
}

TEST_CASE("dns_check says which server is silent or broken", "[examples][attacks]") {
    const dns_responder silent([](udp_client&, const dns_question&) {});
    const dns_responder good(always("\x7f\x01\x01\x01"));
    const run_result alone = run_example(
        {"dns_check", "www.example.test", good.address(), silent.address(), "--timeout", "20"}
    );
    CHECK(alone.status == 1);
    CHECK(alone.errors == "dns_check: " + silent.address() + " does not answer; ignored: 0\n");
    const dns_responder broken([](udp_client& socket, const dns_question& asked) {
        send_text(socket, asked.from, asked.answer({{dns_type_cname, "\xff\xff"}}));
    });
    const run_result odd =
        run_example({"dns_check", "www.example.test", broken.address(), good.address()});
    CHECK(odd.status == 1);
    CHECK(odd.errors == "dns_check: the answer holds a name that is none\n");
}

TEST_CASE("dns_check refuses what is no name, server, type or time", "[examples][attacks]") {
    check_refuses({"dns_check", "a", "x", "::1"}, "SERVER is an address");
    check_refuses({"dns_check", "a", "::1", "x"}, "OTHER-SERVER is an address");
    check_refuses({"dns_check", "a", "::1"}, "OTHER-SERVER is missing");
    check_refuses({"dns_check", "a..b", "127.0.0.1", "127.0.0.1"}, "'a..b' is no name");
    check_refuses({"dns_check", "a", "::1", "::1", "--type", "MX"}, "--type is A or AAAA");
    check_refuses({"dns_check", "a", "::1", "::1", "--timeout", "0"}, "--timeout is a number");
}
