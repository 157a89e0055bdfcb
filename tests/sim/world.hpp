#pragma once

#include <tftp/wire/options.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <sim/driver.hpp>
#include <sim/field_client.hpp>
#include <sim/network.hpp>
#include <vector>

namespace tftp::sim {

/// All that makes one run; with the same seed it is the same run.
struct schedule {
    /// RRQ; else WRQ.
    bool read = true;
    /// Bytes.
    std::uint64_t size = 0;
    offer asked;
    option_limits granted;
    /// The server is one of RFC 1350.
    bool ignores_options = false;
    /// The server knows a repeated request again; else each starts a transfer.
    bool joins = true;
    engine_config client;
    engine_config server;
    driver_config client_driver;
    driver_config server_driver;
    link_config to_server;
    link_config to_client;
    /// A client of the field in place of ours; reads only.
    std::optional<field_client_config> field_client;
};

/// How a run ended.
struct report {
    /// Of the server: the transfer that the client took, or the first one.
    side_report client;
    side_report server;
    field_client_report field_client;
    link_counters to_server;
    link_counters to_client;
    /// Datagrams that came when nobody listened any more.
    std::uint64_t unheard = 0;
    std::uint64_t transfers = 0;
    std::uint64_t events = 0;

    /// Returns the side that sent the content of a read or of a write.
    [[nodiscard]] const side_report& sender(const schedule& s) const noexcept {
        return s.read ? server : client;
    }

    [[nodiscard]] const side_report& receiver(const schedule& s) const noexcept {
        return s.read ? client : server;
    }
};

/// Runs one schedule to its end and checks every invariant; throws `violation`.
///
/// capture: gets each datagram that leaves; null for none.
[[nodiscard]] report
run(const schedule& plan, std::uint64_t seed, bool trace, pcap_writer* capture = nullptr);

/// Runs `count` clients of one host, each with a transfer as in `plan`, over one path that they
/// share. They begin `apart` from each other; the last ones later, while nothing happens.
[[nodiscard]] std::vector<report> run_together(
    const schedule& plan, std::size_t count, duration apart, std::uint64_t seed, bool trace
);

} // namespace tftp::sim
