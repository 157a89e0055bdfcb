#include "support/octets.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

namespace tftp::test {

namespace {

constexpr std::size_t blksize_default = 512;

} // namespace

datagram data_of(std::uint16_t block, std::string_view payload) {
    datagram out;
    append_u16(out, 3);
    append_u16(out, block);
    const auto body = octets(payload);
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

std::string_view block_of(std::string_view content, std::size_t block) {
    return content.substr((block - 1) * blksize_default, blksize_default);
}

arrived next(udp_client& client) {
    auto message = client.receive();
    REQUIRE(message);
    return *message;
}

arrived next_after(udp_client& client, const arrived& before) {
    arrived message = next(client);
    while (message == before) {
        message = next(client);
    }
    return message;
}

arrived ask(udp_client& client, const tftp::endpoint& where, const datagram& message) {
    while (client.receive(std::chrono::milliseconds(0))) {
    }
    client.send(where, message);
    return next(client);
}

std::string fetch_rest(udp_client& client, arrived answer, std::size_t blksize) {
    std::string content;
    for (std::uint16_t block = 1;; ++block) {
        INFO("block " << block);
        REQUIRE(opcode_of(answer) == 3);
        REQUIRE(answer.octets.size() >= 4);
        const std::string payload = text(bytes_view(answer.octets).subspan(4));
        REQUIRE(answer.octets == data_of(block, payload));
        content += payload;
        client.send(answer.from, ack(block));
        if (payload.size() < blksize) {
            return content;
        }
        const arrived before = answer;
        answer = next(client);
        while (answer == before) {
            // Its timer has repeated the block: this test was slow, or the ACK lost.
            client.send(answer.from, ack(block));
            answer = next(client);
        }
        REQUIRE(answer.from == before.from);
    }
}

std::string fetch(const tftp::endpoint& where, std::string_view name, std::string_view mode) {
    udp_client client;
    return fetch_rest(client, ask(client, where, rrq(name, {}, mode)));
}

arrived store_rest(udp_client& client, const tftp::endpoint& transfer, std::string_view content) {
    for (std::uint16_t block = 1;; ++block) {
        const std::string_view payload = content.substr(0, blksize_default);
        content.remove_prefix(payload.size());
        const arrived answer = ask(client, transfer, data_of(block, payload));
        if (payload.size() < blksize_default) {
            return answer;
        }
        REQUIRE(answer.octets == ack(block));
    }
}

} // namespace tftp::test
