#include "pcap.hpp"

#include <array>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace example {

namespace {

using octets = std::span<const std::uint8_t>;

/// Reads four bytes in the order of the machine that wrote them.
std::uint32_t number_at(octets from, std::size_t offset, bool little_endian) {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        out = (out << 8U) | from[offset + (little_endian ? 3 - i : i)];
    }
    return out;
}

/// The first word of a file: times in microseconds, or in nanoseconds.
bool is_magic(std::uint32_t word) {
    return word == 0xa1b2c3d4 || word == 0xa1b23c4d;
}

} // namespace

void read_recording(const std::string& path, const std::function<void(octets)>& each) {
    std::ifstream file(path, std::ios::binary);
    const auto read = [&](std::span<std::uint8_t> to) {
        file.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
        return file.gcount() == static_cast<std::streamsize>(to.size());
    };
    // Magic, version, zone, accuracy, the most that was caught of a frame, the kind of link.
    std::array<std::uint8_t, 24> header{};
    const bool whole = read(header);
    const bool little_endian = is_magic(number_at(header, 0, true));
    if (!whole || (!little_endian && !is_magic(number_at(header, 0, false)))) {
        throw std::runtime_error(path + " is no pcap file");
    }
    constexpr std::uint32_t ethernet = 1;
    if (number_at(header, 20, little_endian) != ethernet) {
        throw std::runtime_error(path + " was not recorded on an Ethernet");
    }
    // Seconds, fraction, size of what was caught, size on the wire.
    std::array<std::uint8_t, 16> packet{};
    while (read(packet)) {
        const std::uint32_t size = number_at(packet, 8, little_endian);
        // The most tcpdump catches: a wrong size must not become a wrong allocation.
        constexpr std::uint32_t caught_max = 262'144;
        std::vector<std::uint8_t> frame(size <= caught_max ? size : 0);
        if (size > caught_max || !read(frame)) {
            throw std::runtime_error(path + " ends within a frame");
        }
        each(frame);
    }
    if (file.gcount() != 0) {
        throw std::runtime_error(path + " ends within a frame");
    }
}

} // namespace example
