#pragma once

#include "support/octets.hpp"
#include "support/udp_client.hpp"

#include <tftp/socket/socket_address.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tftp::test {

inline constexpr std::uint16_t dns_type_a = 1;
inline constexpr std::uint16_t dns_type_cname = 5;
inline constexpr std::uint16_t dns_type_ptr = 12;
inline constexpr std::uint16_t dns_type_aaaa = 28;
inline constexpr std::uint8_t dns_nxdomain = 3;

/// Returns a number of DNS: two bytes, the high one first.
[[nodiscard]] inline std::string dns_number(std::size_t value) {
    return {static_cast<char>((value >> 8U) & 0xffU), static_cast<char>(value & 0xffU)};
}

/// Returns a name as labels with their sizes.
[[nodiscard]] inline std::string dns_name(std::string_view dotted) {
    std::string out;
    while (!dotted.empty()) {
        const std::string_view label = dotted.substr(0, dotted.find('.'));
        out += static_cast<char>(label.size());
        out += label;
        dotted.remove_prefix(std::min(label.size() + 1, dotted.size()));
    }
    return out + '\0';
}

/// A record of the name that was asked for.
struct dns_record {
    std::uint16_t type;
    std::string value;
};

/// A question as it came, by hand: nothing of the programs under test.
struct dns_question {
    explicit dns_question(const arrived& datagram)
        : from(datagram.from), octets(text(datagram.octets)) {
        for (std::size_t at = 12; at < octets.size() && octets[at] != 0;) {
            const auto size = static_cast<std::uint8_t>(octets[at]);
            name += (name.empty() ? "" : ".") + octets.substr(at + 1, size);
            at += size + 1U;
        }
        type = static_cast<std::uint8_t>(octets[octets.size() - 3]);
    }

    /// Returns the answer: the header, the question again, the records.
    [[nodiscard]] std::string
    answer(const std::vector<dns_record>& records, std::uint8_t code = 0) const {
        std::string out = octets.substr(0, 2) + '\x81' + static_cast<char>(0x80U | code) +
                          dns_number(1) + dns_number(records.size()) + dns_number(0) +
                          dns_number(0) + octets.substr(12);
        for (const dns_record& each : records) {
            // The name is the one at octet 12; class IN; 300 seconds.
            out += "\xc0\x0c" + dns_number(each.type) + dns_number(1) + dns_number(0) +
                   dns_number(300) + dns_number(each.value.size()) + each.value;
        }
        return out;
    }

    tftp::endpoint from;
    std::string octets;
    std::string name;
    unsigned type = 0;
};

/// A DNS server on loopback that does with each question what the test says, in a thread of its
/// own.
class dns_responder {
public:
    using reaction = std::function<void(udp_client& socket, const dns_question& question)>;

    explicit dns_responder(reaction react)
        : react_(std::move(react)), thread_([this] { serve(); }) {}

    ~dns_responder() {
        // An empty datagram is no question: it ends the thread.
        udp_client().send(socket_.local(), {});
        thread_.join();
    }

    dns_responder(const dns_responder&) = delete;
    dns_responder& operator=(const dns_responder&) = delete;

    /// ADDRESS:PORT.
    [[nodiscard]] std::string address() const { return to_string(socket_.local()); }

    /// What was asked so far.
    [[nodiscard]] std::vector<dns_question> questions() const {
        const std::lock_guard lock(mutex_);
        return questions_;
    }

private:
    void serve() {
        for (;;) {
            const auto datagram = socket_.receive();
            if (datagram && datagram->octets.empty()) {
                return;
            }
            if (datagram) {
                const dns_question question(*datagram);
                {
                    const std::lock_guard lock(mutex_);
                    questions_.push_back(question);
                }
                react_(socket_, question);
            }
        }
    }

    udp_client socket_;
    reaction react_;
    mutable std::mutex mutex_;
    std::vector<dns_question> questions_;
    std::thread thread_;
};

/// Sends text as a datagram.
inline void send_text(udp_client& socket, const tftp::endpoint& to, std::string_view datagram) {
    socket.send(to, octets(datagram));
}

} // namespace tftp::test
