#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

using namespace tftp::test;

namespace {

constexpr std::size_t udp_payload_max = 65507;

/// A large request that every server has to take apart.
datagram many_options(std::size_t size) {
    datagram out = rrq("file");
    while (out.size() < size) {
        append_string(out, "x");
        append_string(out, "1");
    }
    out.resize(size);
    return out;
}

/// Answers are not of interest here; their number must not fill the socket.
void drain(udp_client& client) {
    while (client.receive(std::chrono::milliseconds(0))) {
    }
}

/// Sends all of `corpus` to one port.
void send_all(udp_client& client, const tftp::endpoint& to, const std::vector<datagram>& corpus) {
    for (const datagram& each : corpus) {
        client.send(to, each);
        drain(client);
    }
}

std::vector<datagram> truncations(const datagram& whole) {
    std::vector<datagram> out;
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        out.emplace_back(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    }
    return out;
}

std::vector<datagram> random_octets(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<datagram> out;
    for (std::size_t i = 0; i < count; ++i) {
        datagram each(random() % 600);
        for (std::byte& octet : each) {
            octet = static_cast<std::byte>(random());
        }
        if (each.size() >= 2) {
            // Most are to get past the opcode.
            each[0] = std::byte{0};
            each[1] = static_cast<std::byte>(random() % 8);
        }
        out.push_back(std::move(each));
    }
    return out;
}

std::vector<datagram> corpus() {
    std::vector<datagram> out;
    const auto add = [&out](const std::vector<datagram>& more) {
        out.insert(out.end(), more.begin(), more.end());
    };
    const option_pairs options = {
        {"blksize", "1428"}, {"tsize", "0"}, {"timeout", "3"}, {"windowsize", "16"}};
    add(truncations(rrq("file", options)));
    add(truncations(wrq("upload", options)));
    add(truncations(error_packet(1, "text")));
    add(truncations(oack(options)));
    add(truncations(data(1, 8)));
    add({many_options(513), many_options(4096), many_options(udp_payload_max)});
    add(
        {rrq(std::string(60000, 'a')),
         wrq(std::string(60000, 'a')),
         rrq("file", {}, std::string(60000, 'o'))}
    );
    add({rrq("file", {{"blksize", std::string(5000, '9')}, {"tsize", "18446744073709551616"}})});
    add({rrq("file", {{"windowsize", "4294967297"}, {"blksize", "-9223372036854775809"}})});
    add({rrq("%s%n%x%d{}{0}"), rrq("file", {{"%n", "%n"}, {"{}", "{}"}})});
    add(random_octets(3000, 20240229));
    return out;
}

} // namespace

TEST_CASE("no datagram to the listening port stops tftpd", "[system][tftpd][hostile]") {
    daemon_process daemon({"--writable", "create"});
    write_file(daemon.root() / "file", make_content(3000, 3));
    udp_client client;
    send_all(client, daemon.server(), corpus());
    CHECK(daemon.serves());
    CHECK(fetch(daemon.server(), "file") == make_content(3000, 3));
    CHECK(!daemon.process().wait(std::chrono::milliseconds(0)));
}

TEST_CASE("no datagram of a stranger disturbs a transfer", "[system][tftpd][hostile]") {
    daemon_process daemon;
    const std::string content = make_content(3000, 3);
    write_file(daemon.root() / "file", content);
    udp_client client;
    const arrived answer = ask(client, daemon.server(), rrq("file"));
    udp_client other;
    send_all(other, answer.from, corpus());
    CHECK(fetch_rest(client, answer) == content);
}

TEST_CASE("no datagram of the client to its transfer stops tftpd", "[system][tftpd][hostile]") {
    daemon_process daemon({"--writable", "create"});
    write_file(daemon.root() / "file", make_content(3000, 3));
    for (const datagram& opening : {rrq("file"), wrq("upload")}) {
        for (const datagram& each : corpus()) {
            udp_client client;
            const arrived answer = ask(client, daemon.server(), opening);
            client.send(answer.from, each);
            client.send(answer.from, error_packet(0, "done"));
        }
    }
    CHECK(daemon.serves());
    CHECK(fetch(daemon.server(), "file") == make_content(3000, 3));
    CHECK(!daemon.process().wait(std::chrono::milliseconds(0)));
}

TEST_CASE("a second request of a client's port ends no transfer", "[system][tftpd][hostile]") {
    const std::string mode = GENERATE("exclusive", "pooled", "single");
    daemon_process daemon({"--threads", "1", "--tid-mode", mode, "--writable", "create"});
    const std::string content = make_content(512 * 300 + 7, 1);
    write_file(daemon.root() / "file", content);
    write_file(daemon.root() / "other", std::string(5000, 'y'));
    const std::vector<datagram> forged{
        rrq("other"),
        rrq("file"),
        rrq("file", {{"blksize", "1428"}, {"windowsize", "16"}}),
        rrq("none"),
        rrq("file", {}, "mail"),
        wrq("upload")};
    udp_client client;
    arrived came = ask(client, daemon.server(), rrq("file"));
    const tftp::endpoint transfer = came.from;
    std::string got;
    for (std::uint16_t block = 1; block <= 301; ++block) {
        // Repeats of the block before are the timer's, when this machine is slow; an answer to a
        // forged request comes only when it is so slow that the transfer seems to stand still.
        while (came.from != transfer || came.octets != data_of(block, block_of(content, block))) {
            came = next(client);
        }
        got.append(reinterpret_cast<const char*>(came.octets.data()) + 4, came.octets.size() - 4);
        client.send(daemon.server(), forged[block % forged.size()]);
        client.send(transfer, ack(block));
        if (block <= 300) {
            came = next(client);
        }
    }
    CHECK(got == content);
    CHECK_THAT(daemon.line("\"file\""), Catch::Matchers::EndsWith(" ok"));
}
