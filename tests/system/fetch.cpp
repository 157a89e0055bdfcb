#include "system/fetch.hpp"

#include "support/builders.hpp"
#include "support/octets.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <cstring>

namespace tftp::test {

namespace {

/// Returns the value of tsize in an OACK; 0 when it has none.
std::uint64_t tsize_in(const arrived& oack) {
    const std::string words = text(oack.octets);
    const std::size_t tsize = words.find("tsize");
    return tsize == std::string::npos ? 0
                                      : std::stoull(words.substr(tsize + std::strlen("tsize") + 1));
}

} // namespace

fetched fetch_by(
    const tftp::endpoint& where, std::string_view name, const way& how, const disturbance& meanwhile
) {
    udp_client client;
    fetched result;
    const option_pairs options{
        {"blksize", std::to_string(how.blksize)},
        {"tsize", "0"},
        {"windowsize", std::to_string(how.window)}};
    const arrived answer = ask(client, where, rrq(name, options, how.mode));
    result.error = error_code_of(answer);
    if (result.error) {
        return result;
    }
    REQUIRE(opcode_of(answer) == 6);
    result.tsize = tsize_in(answer);
    client.send(answer.from, ack(0));
    std::uint16_t expected = 1;
    std::uint16_t acknowledged = 0;
    bool changed = false;
    while (true) {
        const arrived message = next(client);
        result.error = error_code_of(message);
        if (result.error) {
            return result;
        }
        const tftp::bytes_view payload = tftp::bytes_view(message.octets).subspan(4);
        if (message.octets != data_of(expected, text(payload))) {
            // A repeated block: what has come is acknowledged again.
            client.send(answer.from, ack(static_cast<std::uint16_t>(expected - 1)));
            continue;
        }
        result.content += text(payload);
        if (!changed && result.content.size() >= meanwhile.octets) {
            changed = true;
            meanwhile.change();
        }
        const bool last = payload.size() < how.blksize;
        if (last || static_cast<std::size_t>(expected - acknowledged) == how.window) {
            client.send(answer.from, ack(expected));
            acknowledged = expected;
        }
        if (last) {
            return result;
        }
        ++expected;
    }
}

} // namespace tftp::test
