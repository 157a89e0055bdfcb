#include <tftp/base/assert.hpp>

#include <cerrno>
#include <cstdint>
#include <sim/pcap.hpp>
#include <span>
#include <system_error>
#include <utility>

namespace tftp::sim {

namespace {

using bytes = std::vector<std::byte>;

constexpr std::size_t ip_header_size = 20;
constexpr std::size_t udp_header_size = 8;
constexpr std::size_t packet_size_max = 65'535;

// The byte order of a capture file is free: it is that of the first field.
void put16(bytes& out, std::size_t value) {
    out.push_back(static_cast<std::byte>(value >> 8 & 0xff));
    out.push_back(static_cast<std::byte>(value & 0xff));
}

void put32(bytes& out, std::uint64_t value) {
    put16(out, value >> 16 & 0xffff);
    put16(out, value & 0xffff);
}

void put_address(bytes& out, const endpoint& e) {
    for (const std::uint8_t part : std::span(e.address).first<4>()) {
        out.push_back(std::byte{part});
    }
}

/// Adds the 16-bit words of `part` to `sum` as RFC 1071 has it; an odd byte counts as high.
std::uint64_t add_words(std::uint64_t sum, bytes_view part) noexcept {
    for (std::size_t i = 0; i < part.size(); ++i) {
        sum += std::to_integer<std::uint64_t>(part[i]) << (i % 2 == 0 ? 8 : 0);
    }
    return sum;
}

std::uint16_t checksum(std::uint64_t sum) noexcept {
    while (sum > 0xffff) {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    return static_cast<std::uint16_t>(~sum);
}

void set16(bytes& out, std::size_t at, std::uint16_t value) {
    out[at] = static_cast<std::byte>(value >> 8);
    out[at + 1] = static_cast<std::byte>(value & 0xff);
}

/// RFC 791; never a fragment, so without an identification (RFC 6864).
void put_ip_header(bytes& out, const endpoint& from, const endpoint& to, std::size_t size) {
    const std::size_t begin = out.size();
    put16(out, 0x4500); // version 4, five words
    put16(out, size);
    put16(out, 0);
    put16(out, 0x4000); // do not fragment
    put16(out, 0x4011); // time to live 64, UDP
    put16(out, 0);
    put_address(out, from);
    put_address(out, to);
    set16(out, begin + 10, checksum(add_words(0, bytes_view(out).subspan(begin))));
}

/// RFC 768.
void put_udp(bytes& out, const endpoint& from, const endpoint& to, bytes_view payload) {
    const std::size_t begin = out.size();
    const std::size_t size = udp_header_size + payload.size();
    put16(out, from.port);
    put16(out, to.port);
    put16(out, size);
    put16(out, 0);
    out.insert(out.end(), payload.begin(), payload.end());
    bytes pseudo;
    put_address(pseudo, from);
    put_address(pseudo, to);
    put16(pseudo, 17);
    put16(pseudo, size);
    const std::uint16_t sum =
        checksum(add_words(add_words(0, pseudo), bytes_view(out).subspan(begin)));
    // Zero would say that there is no checksum.
    set16(out, begin + 6, sum == 0 ? 0xffff : sum);
}

} // namespace

bytes pcap_file_header() {
    bytes out;
    put32(out, 0xa1b23c4d); // time stamps of nanoseconds
    put16(out, 2);
    put16(out, 4);
    put32(out, 0);
    put32(out, 0);
    put32(out, packet_size_max);
    put32(out, 101); // LINKTYPE_RAW
    return out;
}

bytes pcap_record(
    duration since_start, const endpoint& from, const endpoint& to, bytes_view payload
) {
    const std::size_t size = ip_header_size + udp_header_size + payload.size();
    TFTP_ASSERT(from.family == address_family::ipv4 && to.family == address_family::ipv4);
    TFTP_ASSERT(size <= packet_size_max);
    const auto ns = static_cast<std::uint64_t>(since_start.count());
    bytes out;
    put32(out, ns / 1'000'000'000);
    put32(out, ns % 1'000'000'000);
    put32(out, size);
    put32(out, size);
    put_ip_header(out, from, to, size);
    put_udp(out, from, to, payload);
    return out;
}

pcap_writer::pcap_writer(const std::string& path) : file_(std::fopen(path.c_str(), "wbe")) {
    if (file_ == nullptr) {
        throw std::system_error(errno, std::system_category());
    }
    // An assertion must not take the last records with it.
    std::setvbuf(file_, nullptr, _IONBF, 0);
    put(pcap_file_header());
}

pcap_writer::~pcap_writer() {
    static_cast<void>(close());
}

void pcap_writer::put(const bytes& all) noexcept {
    if (error_ == 0 && std::fwrite(all.data(), 1, all.size(), file_) != all.size()) {
        error_ = errno;
    }
}

void pcap_writer::write(
    duration since_start, const endpoint& from, const endpoint& to, bytes_view payload
) {
    put(pcap_record(since_start, from, to, payload));
}

int pcap_writer::close() noexcept {
    if (file_ != nullptr && std::fclose(std::exchange(file_, nullptr)) != 0 && error_ == 0) {
        error_ = errno;
    }
    return error_;
}

} // namespace tftp::sim
