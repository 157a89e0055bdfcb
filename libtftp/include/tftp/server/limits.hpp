#pragma once

#include <cstddef>
#include <cstdint>

namespace tftp {

/// Every bound of a server and its default. The table in docs/reference/limits.md says the same.
///
/// They hold for the whole server; `server` gives each of its threads an even share of
/// `half_open_max`, `requests_per_second` and the numbers of ports.
struct limits {
    /// Transfers at the same time; a request beyond it is answered with ERROR 0, unless a half-open
    /// one can make room.
    std::size_t transfers_max = 16384;
    /// Of these, transfers of one client address; a request beyond it is answered with
    /// ERROR 0.
    std::size_t transfers_per_client_max = 8192;
    /// Of these, transfers whose client has not answered yet; the oldest makes room for a new one,
    /// so a flood of requests from addresses that never answer shuts nobody out.
    std::size_t half_open_max = 8192;
    /// New requests in a second; those beyond it wait in the socket's buffer and are answered late.
    std::uint32_t requests_per_second = 50000;
    /// New requests in a second from one client address; those beyond it are dropped without an
    /// answer.
    std::uint32_t requests_per_client_per_second = 20000;
    /// Transfers that have a port of their own; those beyond it share ports.
    std::size_t exclusive_ports_max = 16384;
    /// Ports that transfers share.
    std::size_t shared_ports_max = 64;
    /// Bytes of files held in memory for transfers: blocks read in the background, windows of
    /// netascii, uploads on their way to a slow disk. Each of these takes at most half. What does
    /// not fit waits. Uploads collect 16 KiB each before they write, as long as half of it is free.
    std::size_t buffered_octets_max = 33554432; // 32 MiB
    /// Lines that are logged in a second; those beyond it are counted, and the count is logged.
    std::uint32_t log_lines_per_second = 2000;
};

} // namespace tftp
