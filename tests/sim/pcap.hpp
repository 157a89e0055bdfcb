#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace tftp::sim {

/// Returns what a capture file begins with: pcap with nanoseconds, and each packet begins with its
/// IP header (LINKTYPE_RAW).
[[nodiscard]] std::vector<std::byte> pcap_file_header();

/// Returns the record of one UDP datagram, with headers of IPv4 and UDP and right checksums.
///
/// since_start: its time stamp, not negative. from, to: IPv4. payload: at most 65,507 bytes.
[[nodiscard]] std::vector<std::byte>
pcap_record(duration since_start, const endpoint& from, const endpoint& to, bytes_view payload);

/// A capture file that tcpdump, tshark and Wireshark open.
class pcap_writer {
public:
    /// Makes the file, or empties it; throws std::system_error when that is impossible.
    explicit pcap_writer(const std::string& path);
    ~pcap_writer();
    pcap_writer(const pcap_writer&) = delete;
    pcap_writer& operator=(const pcap_writer&) = delete;

    /// Adds one datagram; it is in the file when this returns, so a crash does not lose it. After
    /// an error nothing is written any more.
    void write(duration since_start, const endpoint& from, const endpoint& to, bytes_view payload);

    /// Closes the file; returns the errno of the first write that failed, or 0.
    [[nodiscard]] int close() noexcept;

private:
    void put(const std::vector<std::byte>& bytes) noexcept;

    std::FILE* file_;
    int error_ = 0;
};

} // namespace tftp::sim
