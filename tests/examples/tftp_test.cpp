#include "examples/example.hpp"
#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace tftp::test;

namespace {

constexpr auto limit = example_limit;

/// A server whose every packet is written in the test: a port for requests, one for the transfer.
/// It serves blocks of 512 bytes, each the low octet of its number.
struct manual_server {
    [[nodiscard]] std::string address() const { return tftp::to_string(requests.local()); }

    udp_client requests;
    udp_client transfer;
};

arrived next(udp_client& socket) {
    const auto came = socket.receive();
    REQUIRE(came);
    return *came;
}

/// Returns the next packet that is not `repeated` once more: a slow test lets timers run out.
arrived next_but(udp_client& socket, const datagram& repeated) {
    for (;;) {
        const arrived came = next(socket);
        if (came.octets != repeated) {
            return came;
        }
    }
}

std::size_t occurrences(const std::string& text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

/// A directory for the copy.
struct destination {
    [[nodiscard]] std::string copy() const { return directory.path() / "copy"; }

    [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(directory.path()); }

    temp_dir directory;
};

/// The blocks that `manual_server` sends, as a file.
std::string blocks(std::size_t octets) {
    std::string out;
    for (std::size_t i = 0; i < octets; ++i) {
        out.push_back(static_cast<char>(i / 512 + 1));
    }
    return out;
}

/// So long that nothing is repeated for its time being over.
const std::vector<std::string> patient{"--timeout", "60000"};

std::vector<std::string> by_hand(
    const std::string& server, const std::string& copy, const std::vector<std::string>& options = {}
) {
    std::vector<std::string> words{"tftp_by_hand", server, "file", copy};
    words.insert(words.end(), options.begin(), options.end());
    return words;
}

} // namespace

TEST_CASE("the TFTP examples explain themselves", "[examples]") {
    check_explains_itself("tftp_by_hand");
    check_explains_itself("tftp_with_engine");
}

TEST_CASE("the TFTP examples refuse what makes no sense", "[examples]") {
    for (const std::string name : {"tftp_by_hand", "tftp_with_engine"}) {
        check_refuses({name, "nonsense", "file", "copy"});
        check_refuses({name, "127.0.0.1:69", "file"});
        check_refuses({name, "127.0.0.1:69", "file", "copy", "more"});
    }
    check_refuses({"tftp_by_hand", "127.0.0.1:69", "file", "copy", "--timeout", "0"});
    check_refuses({"tftp_by_hand", "127.0.0.1:69", "file", "copy", "--timeout", "soon"});
    check_refuses({"tftp_with_engine", "127.0.0.1:69", "", "copy"});
    check_refuses({"tftp_with_engine", "127.0.0.1:69", "file", "copy", "--blksize", "7"});
    check_refuses({"tftp_with_engine", "127.0.0.1:69", "file", "copy", "--window", "32768"});
}

TEST_CASE("both TFTP clients fetch the same file", "[examples]") {
    const std::size_t size = GENERATE(0U, 511U, 512U, 5000U);
    INFO(size);
    const std::string content = make_content(size, 1);
    const temp_dir served;
    write_file(served.path() / "file", content);
    const running_server embedded({"embed_server", "127.0.0.1:0", served.path()});

    const destination first;
    const auto hand = run_example(by_hand(embedded.address, first.copy(), {"--timeout", "500"}));
    INFO(hand.output << hand.errors);
    CHECK(hand.status == 0);
    CHECK(holds(first.copy(), content));
    CHECK(hand.output.starts_with("-> RRQ file to " + embedded.address + "\n"));
    const std::string last = std::to_string(size / 512 + 1);
    CHECK(
        occurrences(hand.output, "<- DATA " + last + ", " + std::to_string(size % 512) + " ") >= 1
    );
    CHECK(occurrences(hand.output, "-> ACK " + last + " to 127.0.0.1:") >= 1);
    CHECK(occurrences(hand.output, embedded.address) == occurrences(hand.output, "RRQ"));

    const destination second;
    const auto engine = run_example({"tftp_with_engine", embedded.address, "file", second.copy()});
    INFO(engine.output << engine.errors);
    CHECK(engine.status == 0);
    CHECK(holds(second.copy(), content));
    CHECK(engine.output.starts_with(
        std::to_string(size) + " bytes in " + std::to_string(size / 1428 + 1) + " blocks, "
    ));
    // A server that knows the size says so, but for an empty file.
    CHECK(
        engine.output.find(
            "agreed: blksize 1428, windowsize 16, tsize " +
            (size == 0 ? "unknown" : std::to_string(size)) + "\n"
        ) != std::string::npos
    );
}

TEST_CASE("tftp_by_hand acknowledges every block once", "[examples]") {
    manual_server manual;
    const destination to;
    child_process client(example(by_hand(manual.address(), to.copy(), patient)));
    const arrived request = next(manual.requests);
    CHECK(request.octets == rrq("file"));
    udp_client& transfer = manual.transfer;
    transfer.send(request.from, data(1));
    CHECK(next(transfer) == arrived{request.from, ack(1)});
    // Each answer to a duplicate would be an ACK too many for an old server.
    transfer.send(request.from, data(1));
    transfer.send(request.from, data(1));
    transfer.send(request.from, data(2));
    CHECK(next(transfer).octets == ack(2));
    transfer.send(request.from, data(1));
    transfer.send(request.from, data(2));
    transfer.send(request.from, data(3, 10));
    CHECK(next(transfer).octets == ack(3));
    // The last ACK says that the file is there.
    CHECK(holds(to.copy(), blocks(1034)));
    // It is the only one that is repeated: the server would wait for it in vain.
    transfer.send(request.from, data(3, 10));
    CHECK(next(transfer).octets == ack(3));
}

TEST_CASE("tftp_by_hand repeats what is not answered", "[examples]") {
    manual_server manual;
    const destination to;
    child_process client(example(by_hand(manual.address(), to.copy(), {"--timeout", "500"})));
    const arrived request = next(manual.requests);
    CHECK(next(manual.requests) == request);
    udp_client& transfer = manual.transfer;
    transfer.send(request.from, data(1));
    CHECK(next(transfer).octets == ack(1));
    CHECK(next(transfer).octets == ack(1));
    transfer.send(request.from, data(2, 0));
    CHECK(next_but(transfer, ack(1)).octets == ack(2));
    CHECK(client.wait(limit) == 0);
    CHECK(holds(to.copy(), blocks(512)));
}

TEST_CASE("tftp_by_hand gives up when nobody answers", "[examples]") {
    manual_server manual;
    const destination to;
    const auto ended = run_example(by_hand(manual.address(), to.copy(), {"--timeout", "20"}));
    CHECK(ended.status == 1);
    CHECK(ended.errors == "tftp_by_hand: no answer from " + manual.address() + "\n");
    CHECK(occurrences(ended.output, "-> RRQ file") == 5);
    for (int i = 0; i < 5; ++i) {
        CHECK(next(manual.requests).octets == rrq("file"));
    }
    CHECK(to.is_empty());
}

TEST_CASE("tftp_by_hand tells strangers so and goes on", "[examples]") {
    const datagram refusal = error_packet(5, "unknown transfer ID");
    manual_server manual;
    udp_client intruder;
    udp_client other_host(tftp::endpoint::ipv4(127, 0, 0, 2, 0));
    const destination to;
    child_process client(example(by_hand(manual.address(), to.copy(), patient)));
    const tftp::endpoint from = next(manual.requests).from;
    // Before the first answer any port of the server may be the right one, but of no other host,
    // and for nothing but the first block.
    other_host.send(from, data(1));
    CHECK(next(other_host).octets == refusal);
    intruder.send(from, data(7));
    CHECK(next(intruder).octets == refusal);
    manual.transfer.send(from, data(1));
    CHECK(next(manual.transfer).octets == ack(1));
    // An ERROR of a stranger ends nothing, and is not answered.
    intruder.send(from, error_packet(1));
    intruder.send(from, data(2, 3));
    CHECK(next(intruder).octets == refusal);
    // Nor does what is no packet.
    manual.transfer.send(from, datagram(3));
    manual.transfer.send(from, data(2, 513));
    manual.transfer.send(from, data(2, 100));
    CHECK(next(manual.transfer).octets == ack(2));
    CHECK(holds(to.copy(), blocks(612)));
    REQUIRE(client.wait_for_line("-> ACK 2", limit));
    CHECK(occurrences(client.output(), "-> ERROR 5, unknown transfer ID") == 3);
}

TEST_CASE("an ERROR of the server ends a download, and the old copy stays", "[examples]") {
    const std::string name = GENERATE(as<std::string>(), "tftp_by_hand", "tftp_with_engine");
    manual_server manual;
    const destination to;
    write_file(to.copy(), "old");
    child_process client(example({name, manual.address(), "file", to.copy()}));
    const tftp::endpoint from = next(manual.requests).from;
    manual.transfer.send(from, data(1));
    CHECK(next(manual.transfer).octets == ack(1));
    manual.transfer.send(from, error_packet(1, "gone\x1b[2J"));
    CHECK(client.wait(limit) == 1);
    CHECK(client.errors().starts_with(name + ": "));
    CHECK(client.errors().ends_with("gone?[2J\n"));
    CHECK(occurrences(client.errors(), "\n") == 1);
    CHECK(holds(to.copy(), "old"));
    std::filesystem::remove(to.copy());
    CHECK(to.is_empty());
}

TEST_CASE("a copy that cannot be written ends a download", "[examples]") {
    const std::string name = GENERATE(as<std::string>(), "tftp_by_hand", "tftp_with_engine");
    const temp_dir served;
    write_file(served.path() / "file", "content");
    const running_server embedded({"embed_server", "127.0.0.1:0", served.path()});
    const std::string nowhere = served.path() / "no" / "copy";
    const auto ended = run_example({name, embedded.address, "file", nowhere});
    CHECK(ended.status == 1);
    CHECK(ended.errors.starts_with(name + ": "));
    CHECK(occurrences(ended.errors, "\n") == 1);
}

TEST_CASE("tftp_with_engine tells what the engine did", "[examples]") {
    manual_server manual;
    udp_client intruder;
    const destination to;
    child_process client(example({"tftp_with_engine", manual.address(), "file", to.copy()}));
    const datagram request =
        rrq("file", {{"blksize", "1428"}, {"windowsize", "16"}, {"tsize", "0"}});
    const arrived first = next(manual.requests);
    CHECK(first.octets == request);
    CHECK(next(manual.requests) == first);
    // A server that knows no options answers with DATA.
    udp_client& transfer = manual.transfer;
    transfer.send(first.from, data(1));
    CHECK(next(transfer).octets == ack(1));
    intruder.send(first.from, data(2));
    CHECK(next(intruder).octets == error_packet(5, "unknown transfer ID"));
    transfer.send(first.from, data(2, 88));
    CHECK(next_but(transfer, ack(1)).octets == ack(2));
    CHECK(holds(to.copy(), blocks(600)));
    REQUIRE(client.wait(limit) == 0);
    const std::string said = client.output();
    INFO(said);
    CHECK(said.starts_with("600 bytes in 2 blocks, "));
    CHECK(said.find("agreed: blksize 512, windowsize 1, tsize unknown\n") != std::string::npos);
    CHECK(said.find("retransmissions 0,") == std::string::npos);
    CHECK(said.find("timeouts 0,") == std::string::npos);
    CHECK(said.ends_with(", strangers 1\n"));
}

TEST_CASE("windows and larger blocks save packets", "[examples]") {
    const std::string content = make_content(100'000, 2);
    const temp_dir served;
    write_file(served.path() / "file", content);
    const running_server embedded({"embed_server", "127.0.0.1:0", served.path()});
    const auto packets = [&](const std::string& blksize, const std::string& window) {
        const destination to;
        const auto ended = run_example(
            {"tftp_with_engine",
             embedded.address,
             "file",
             to.copy(),
             "--blksize",
             blksize,
             "--window",
             window}
        );
        INFO(ended.output << ended.errors);
        REQUIRE(ended.status == 0);
        CHECK(holds(to.copy(), content));
        const std::string before = " blocks, ";
        return std::stoi(ended.output.substr(ended.output.find(before) + before.size()));
    };
    // 196 blocks, each with its ACK, against 71 in 5 windows.
    CHECK(packets("512", "1") >= 197);
    CHECK(packets("1428", "16") < 100);
}
