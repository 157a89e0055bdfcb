#include "support/octets.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "support/temp_directory.hpp"

#include <catch2/catch.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <sim/journal.hpp>
#include <sim/pcap.hpp>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

constexpr endpoint client = endpoint::ipv4(10, 0, 0, 1, 1024);
constexpr endpoint server = endpoint::ipv4(10, 0, 0, 2, 69);

std::string hex(bytes_view all) {
    std::string text;
    for (const std::byte each : all) {
        text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::to_integer<unsigned>(each));
    }
    return text;
}

run_result run_program(const std::vector<std::string>& argv) {
    return run({argv, {}, {}}, 60s);
}

std::uint32_t number_at(bytes_view all, std::size_t at, std::size_t size) {
    std::uint32_t value = 0;
    for (const std::byte each : all.subspan(at, size)) {
        value = value << 8 | std::to_integer<std::uint32_t>(each);
    }
    return value;
}

std::string first_word(const std::string& text) {
    return text.substr(0, text.find_first_of(" ,"));
}

struct record {
    std::uint32_t seconds;
    std::uint32_t nanoseconds;
    bytes_view payload;
};

std::vector<record> records_of(bytes_view file) {
    std::vector<record> all;
    bytes_view rest = file.subspan(24);
    while (!rest.empty()) {
        const std::size_t size = number_at(rest, 8, 4);
        all.push_back(
            {number_at(rest, 0, 4), number_at(rest, 4, 4), rest.subspan(16 + 28, size - 28)}
        );
        rest = rest.subspan(16 + size);
    }
    return all;
}

/// Returns time and kind of each record.
std::vector<std::string> kinds_of(bytes_view file) {
    std::vector<std::string> all;
    for (const record& r : records_of(file)) {
        const std::string kind = first_word(sim::describe(r.payload));
        all.push_back(fmt::format("{}.{:06} {}", r.seconds, r.nanoseconds / 1000, kind));
    }
    return all;
}

/// Returns what tshark prints of each record: time, two checksums that are good, opcode.
std::vector<std::string> dissected(bytes_view file) {
    std::vector<std::string> all;
    for (const record& r : records_of(file)) {
        const std::string opcode =
            r.payload.size() < 2 ? "" : std::to_string(number_at(r.payload, 0, 2));
        all.push_back(fmt::format("{}.{:09}\t1\t1\t{}", r.seconds, r.nanoseconds, opcode));
    }
    return all;
}

/// Returns the same of each datagram that left in a trace.
std::vector<std::string> sent_in(const std::string& trace) {
    std::vector<std::string> all;
    std::istringstream lines(trace);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t arrow = line.find(" -> ");
        if (arrow == std::string::npos || line.find("(lost in the kernel)") != std::string::npos) {
            continue;
        }
        std::string what = line.substr(arrow + 4);
        if (what.front() == ':') {
            what = what.substr(what.find(' ') + 1);
        }
        const std::size_t time = line.find_first_not_of(' ');
        all.push_back(line.substr(time, line.find(' ', time) - time) + ' ' + first_word(what));
    }
    return all;
}

/// Returns the line that tshark prints for each record.
std::vector<std::string> dissect(const std::string& file, const std::vector<std::string>& options) {
    std::vector<std::string> argv = {"tshark", "-r", file, "-T", "fields"};
    argv.insert(argv.end(), options.begin(), options.end());
    const run_result ran = run_program(argv);
    INFO(ran.errors);
    REQUIRE(ran.status == 0);
    std::vector<std::string> all;
    std::istringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);) {
        all.push_back(line);
    }
    return all;
}

void check_as_traced(const std::string& program, unsigned seed) {
    const temp_directory here;
    const run_result ran = run_program(
        {program, "--seed", std::to_string(seed), "--trace", "--pcap", here / "run.pcap"}
    );
    INFO(program << " --seed " << seed << '\n' << ran.errors);
    REQUIRE(ran.status == 0);
    const auto sent = sent_in(ran.output);
    CHECK_FALSE(sent.empty());
    CHECK(kinds_of(octets(here.content("run.pcap"))) == sent);
}

} // namespace

TEST_CASE("a capture file begins with the time stamps of nanoseconds and raw IP", "[sim][pcap]") {
    CHECK(
        hex(sim::pcap_file_header()) ==
        "a1 b2 3c 4d 00 02 00 04 00 00 00 00 00 00 00 00 00 00 ff ff 00 00 00 65"
    );
}

TEST_CASE("a record has headers of IPv4 and UDP with their checksums", "[sim][pcap]") {
    const auto record = sim::pcap_record(1'500'000'001ns, client, server, octets("\0\4\0\7"sv));
    CHECK(
        hex(record) == "00 00 00 01 1d cd 65 01 00 00 00 20 00 00 00 20 "
                       "45 00 00 20 00 00 40 00 40 11 26 cb 0a 00 00 01 0a 00 00 02 "
                       "04 00 00 45 00 0c e7 83 00 04 00 07"
    );
}

TEST_CASE("the checksum of an odd number of bytes is padded with zero", "[sim][pcap]") {
    const auto record = sim::pcap_record(0ns, client, server, octets("\0\4\0"sv));
    CHECK(hex(std::span(record).subspan(36)) == "04 00 00 45 00 0b e7 8c 00 04 00");
}

TEST_CASE("a checksum of zero is written as all ones", "[sim][pcap]") {
    const auto record = sim::pcap_record(0ns, client, server, octets("\0\4\xe7\x8a"sv));
    CHECK(hex(std::span(record).subspan(36)) == "04 00 00 45 00 0c ff ff 00 04 e7 8a");
}

TEST_CASE("a capture that cannot be written is reported", "[sim][pcap]") {
    const temp_directory here;
    CHECK_THROWS_AS(sim::pcap_writer(here / "none/run.pcap"), std::system_error);
    sim::pcap_writer full("/dev/full");
    full.write(0ns, client, server, {});
    CHECK(full.close() == ENOSPC);
}

TEST_CASE("sim_swarm captures each datagram that its trace shows to leave", "[sim][pcap]") {
    check_as_traced(TFTP_SIM_SWARM, GENERATE(range(1U, 21U)));
}

TEST_CASE("sim_crowd captures each datagram that its trace shows to leave", "[sim][pcap]") {
    check_as_traced(TFTP_SIM_CROWD, GENERATE(range(1U, 6U)));
}

TEST_CASE("tshark reads a capture", "[sim][pcap]") {
    need_command({"tshark", "--version"});
    const temp_directory here;
    const std::string file = here / "run.pcap";
    REQUIRE(run_program({TFTP_SIM_CROWD, "--seed", "1", "--pcap", file}).status == 0);
    SECTION("it knows TFTP by port 69") {
        const auto seen = dissect(file, {"-e", "tftp.opcode"});
        for (const char* const opcode : {"1", "3", "4"}) {
            CHECK(std::ranges::count(seen, opcode) != 0);
        }
    }
    SECTION("it finds the same packets, and right checksums") {
        const auto seen = dissect(
            file,
            {"-d",
             "udp.port==1-65535,tftp",
             "-o",
             "ip.check_checksum:TRUE",
             "-o",
             "udp.check_checksum:TRUE",
             "-e",
             "frame.time_epoch",
             "-e",
             "ip.checksum.status",
             "-e",
             "udp.checksum.status",
             "-e",
             "tftp.opcode"}
        );
        CHECK(seen == dissected(octets(here.content("run.pcap"))));
    }
}

TEST_CASE("--pcap goes with one seed, into a file that can be written", "[sim][pcap]") {
    const std::string program = GENERATE(as<std::string>(), TFTP_SIM_SWARM, TFTP_SIM_CROWD);
    const std::string name = program.substr(program.rfind('/') + 1);
    const auto check = [&](std::vector<std::string> options, const std::string& error) {
        options.insert(options.begin(), program);
        const run_result ran = run_program(options);
        CHECK(ran.status == 2);
        CHECK(ran.errors == name + ": " + error + '\n');
    };
    const temp_directory here;
    const std::string none = here / "none/run.pcap";
    check({"--pcap", here / "run.pcap"}, "--pcap needs --seed, and no other seeds");
    check(
        {"--seed", "1", "--seeds", "2", "--pcap", here / "run.pcap"},
        "--pcap needs --seed, and no other seeds"
    );
    check({"--seed", "1", "--pcap"}, "--pcap is unknown or needs a value; see --help");
    check({"--seed", "1", "--pcap", none}, "cannot write " + none + ": No such file or directory");
    check(
        {"--seed", "1", "--pcap", "/dev/full"}, "cannot write /dev/full: No space left on device"
    );
    CHECK(here.entries() == 0);
}
