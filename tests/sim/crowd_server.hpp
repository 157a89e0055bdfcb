#pragma once

#include <tftp/server/admission.hpp>
#include <tftp/server/shard.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <sim/disk.hpp>
#include <sim/kernel.hpp>
#include <vector>

namespace tftp::sim {

/// How the server's program and its machine behave.
struct server_plan {
    service_config service;
    kernel_config kernel;
    disk_config disk;
    /// Time from an arrival until the program looks: 0..wake_lag.
    duration wake_lag{};
    /// When it is told to stop, since the start.
    std::optional<duration> stops_at;
};

/// The server: an `service` in an event loop of virtual time.
class crowd_server final : public program, private event_loop, private observer {
public:
    crowd_server(
        const server_plan& plan, const kernel::parts& world, const watch_rules& rules, prng& seeds
    );
    ~crowd_server() override;
    crowd_server(const crowd_server&) = delete;
    crowd_server& operator=(const crowd_server&) = delete;

    void on_socket(sim_socket& from) override;
    void on_wake(network& net, std::uint32_t what) override;

    [[nodiscard]] disk& files() noexcept { return files_; }

    [[nodiscard]] kernel& system() noexcept { return kernel_; }

    /// Nothing is left of any transfer; ends the shard. Throws `violation`.
    void check_idle();

private:
    static constexpr std::uint32_t wake_work = 0;
    static constexpr std::uint32_t wake_stop = 1;
    /// And above: timers, the number says which.
    static constexpr std::uint32_t wake_timer = 16;

    struct watched {
        interest wanted;
        event_handler* handler = nullptr;
    };

    [[nodiscard]] error_code
    watch(const interest& wanted, event_handler& handler) noexcept override;
    void unwatch(int fd) noexcept override;
    void on_finished(const transfer_summary& summary) noexcept override;
    void count(const transfer_summary& summary) noexcept;

    void work();
    void poll_again();
    void expire();
    void after();
    [[nodiscard]] std::size_t ports_max() const noexcept;
    [[nodiscard]] bool ready(const watched& what) const noexcept;

    kernel::parts world_;
    server_plan plan_;
    prng random_;
    /// Draws of their own, so that the others stay what they were.
    prng looks_;
    kernel kernel_;
    disk files_;
    virtual_pool pool_;
    admission admission_;
    std::map<int, watched> watched_;
    std::vector<int> turn_;
    std::unique_ptr<shard> shard_;
    /// Allocations that the shard holds before its first request.
    std::size_t blocks_at_start_ = 0;
    bool completions_ready_ = false;
    bool work_pending_ = false;
    std::uint32_t timer_number_ = wake_timer;
    std::optional<time_point> timer_;
    /// Deadlines announced at the same time, one after the other.
    time_point expired_at_;
    unsigned expired_ = 0;
};

} // namespace tftp::sim
