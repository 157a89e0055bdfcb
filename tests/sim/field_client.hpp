#pragma once

#include <tftp/wire/options.hpp>

#include <cstdint>
#include <sim/journal.hpp>
#include <sim/network.hpp>
#include <string>
#include <vector>

namespace tftp::sim {

/// How a client of the field reads a file.
struct field_client_config {
    offer asked;
    std::string filename = "file";
    /// Where in `content` the file begins.
    std::uint64_t shift = 0;
    /// It asks for tsize first, answers the OACK by ERROR 8, and asks again without (EDK2).
    bool probes = false;
    /// Times after which it repeats its last ACK, each since the one before; then it fails. Empty:
    /// it never repeats one (GRUB).
    std::vector<duration> repeats;
    /// Every DATA that is not the next block is answered by the last ACK (U-Boot).
    bool acks_each_stray = false;
    /// An ACK for each block that it gets twice at windowsize 1 (most clients).
    bool acks_repeats = true;
    /// It waits at most this long for anything, if it never repeats.
    duration patience = std::chrono::seconds(60);
};

struct field_client_report {
    bool complete = false;
    bool failed = false;
    std::uint64_t bytes = 0;
    std::uint64_t data_received = 0;
    std::uint64_t acks_sent = 0;
    time_point completed_at;
};

/// A client that is not ours, as captures of firmware show it. Its RRQ is repeated like an ACK.
class field_client final : public station {
public:
    field_client(
        const endpoint& at,
        const endpoint& server,
        const field_client_config& config,
        std::uint64_t size,
        const journal& log
    );

    /// Sends the request now.
    void begin(network& net);

    /// Sends the request at `at`.
    void begin_at(network& net, time_point at) { net.wake(*this, at, wake_begin); }

    void on_arrival(network& net, const datagram& arrived) override;
    void on_wake(network& net, std::uint32_t what) override;

    [[nodiscard]] const field_client_report& report() const noexcept { return report_; }

private:
    static constexpr std::uint32_t wake_begin = ~std::uint32_t{0};

    void on_oack(network& net, const oack_view& oack, const endpoint& from);
    void on_data(network& net, std::uint16_t wire, bytes_view payload);
    void send_last(network& net);
    void restart(network& net);

    endpoint server_;
    field_client_config config_;
    std::uint64_t size_;
    const journal& log_;
    field_client_report report_;
    parameters agreed_;
    bool heard_ = false;
    bool probed_ = false;
    std::uint64_t expected_ = 1;
    std::uint64_t acked_ = 0;
    std::size_t repeats_ = 0;
    std::uint32_t timer_ = 0;
    std::vector<std::byte> last_;
};

} // namespace tftp::sim
