#pragma once

#include <cstdint>
#include <optional>
#include <sim/kernel.hpp>
#include <sim/own_client.hpp>
#include <vector>

namespace tftp::sim {

/// How a client behaves that is not of this library. Probabilities are parts per million of the
/// datagrams it gets.
struct raw_client_plan {
    duration begins{};
    asked_file asked;
    /// It repeats its last datagram after this, again and again, and gives up after so many.
    duration timeout = std::chrono::seconds(1);
    unsigned sends_max = 5;
    /// Asks only, and from so many ports; never answers anything.
    unsigned flood = 0;
    std::uint32_t future_ack_ppm = 0;
    std::uint32_t double_ack_ppm = 0;
    std::uint32_t stale_ack_ppm = 0;
    std::uint32_t wrong_size_ppm = 0;
    std::uint32_t error_ppm = 0;
    std::uint32_t late_ppm = 0;
    duration late_lag{};
    std::uint32_t vanish_ppm = 0;
    std::uint32_t garbage_ppm = 0;
    std::uint32_t request_again_ppm = 0;

    /// It does what the protocol asks.
    [[nodiscard]] bool honest() const noexcept {
        return future_ack_ppm + double_ack_ppm + stale_ack_ppm + wrong_size_ppm + error_ppm +
                   vanish_ppm + garbage_ppm + request_again_ppm + flood ==
               0;
    }
};

/// A client with fixed timeouts, written after RFC 1350 and 7440 without this library's engines; or
/// one that breaks the rules.
class raw_client final : public station {
public:
    raw_client(
        const raw_client_plan& plan,
        const kernel::parts& world,
        const endpoint& at,
        std::uint64_t seed
    )
        : station(at), world_(world), plan_(plan), random_(seed) {}

    void begin(network& net) { net.wake(*this, network::start + plan_.begins, wake_begin); }

    void on_arrival(network& net, const datagram& arrived) override;
    void on_wake(network& net, std::uint32_t what) override;

    [[nodiscard]] const raw_client_plan& plan() const noexcept { return plan_; }

    [[nodiscard]] bool whole() const noexcept { return whole_; }

    /// It sent ERROR 5 to what it took for a second transfer.
    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

private:
    static constexpr std::uint32_t wake_begin = 0;
    static constexpr std::uint32_t wake_answer = 1;
    /// And above: timers, the number says which.
    static constexpr std::uint32_t wake_timer = 16;

    void request(network& net, const endpoint& from);
    void take(network& net, const datagram& arrived);
    void on_data(network& net, const data_view& data);
    void on_ack(network& net, std::uint16_t wire);
    void misbehave(network& net);
    void acknowledge(network& net, std::uint64_t block);
    void send_window(network& net);
    void send_last(network& net);
    void say(network& net, bytes_view octets);
    void restart(network& net);
    [[nodiscard]] bool does(std::uint32_t ppm, happening what);

    kernel::parts world_;
    raw_client_plan plan_;
    prng random_;
    std::optional<endpoint> peer_;
    std::vector<std::byte> last_;
    std::deque<datagram> delayed_;
    std::uint64_t windowsize_ = 1;
    std::uint64_t blksize_ = blksize_default;
    /// Reader: the next block; writer: the first block without an ACK.
    std::uint64_t next_ = 1;
    std::uint64_t acked_ = 0;
    std::uint64_t stored_ = 0;
    std::uint64_t received_ = 0;
    unsigned sends_ = 0;
    bool whole_ = false;
    bool over_ = false;
    std::uint32_t timer_ = wake_timer;
};

} // namespace tftp::sim
