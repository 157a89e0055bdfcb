#pragma once

#include <tftp/client/client_transfer.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <sim/disk.hpp>
#include <sim/kernel.hpp>
#include <vector>

namespace tftp::sim {

/// One request of a client.
struct asked_file {
    bool read = true;
    transfer_mode mode = transfer_mode::octet;
    file_name name;
    offer options;
};

/// How a client of this library behaves.
struct own_client_plan {
    /// When it begins, since the start of the simulation.
    duration begins{};
    asked_file first;
    engine_config engine;
    kernel_config kernel;
    /// Time from an arrival until the program looks: 0..wake_lag; now and then 0..late_lag.
    duration wake_lag{};
    std::uint32_t late_ppm = 0;
    duration late_lag{};
    /// This long after its beginning the program is killed; `silent`: the whole host is gone.
    std::optional<duration> vanishes_after;
    bool silent = false;
    /// After that it asks again from the same port, for this.
    std::optional<asked_file> second;
    duration restarts_after{};
    bool fall_back = true;
};

/// What became of one client.
struct client_report {
    bool ended = false;
    bool whole = false;
    error_code outcome;
    std::uint64_t data_sent = 0;
};

/// A client of this library: `begin_get` or `begin_put` and an event loop of virtual time.
class own_client final : public program {
public:
    /// memory: shared by all clients, as by all of one thread. Lifetime: borrowed, as `files` is.
    own_client(
        const own_client_plan& plan,
        const kernel::parts& world,
        const endpoint& host,
        const watch_rules& rules,
        scratch& memory,
        disk& files,
        prng& seeds
    );
    ~own_client() override;
    own_client(const own_client&) = delete;
    own_client& operator=(const own_client&) = delete;

    /// Sets the alarm for its beginning.
    void begin(network& net) { net.wake(*this, network::start + plan_.begins, wake_begin); }

    void on_socket(sim_socket& from) override;
    void on_wake(network& net, std::uint32_t what) override;

    [[nodiscard]] const client_report& report() const noexcept { return report_; }

    [[nodiscard]] const own_client_plan& plan() const noexcept { return plan_; }

    [[nodiscard]] kernel& system() noexcept { return kernel_; }

    [[nodiscard]] const kernel& system() const noexcept { return kernel_; }

    /// Returns true once nothing is left to do.
    [[nodiscard]] bool closed() const noexcept { return transfer_ == nullptr && !awaits_restart_; }

    /// Returns the peer of the transfer once it was heard.
    [[nodiscard]] std::optional<endpoint> heard() const;
    /// Returns true while it has a transfer of which content has moved.
    [[nodiscard]] bool under_way() const;
    /// Returns where its transfer is; empty while it has none.
    [[nodiscard]] std::optional<endpoint> local() const;

private:
    static constexpr std::uint32_t wake_begin = 0;
    static constexpr std::uint32_t wake_work = 1;
    static constexpr std::uint32_t wake_vanish = 2;
    static constexpr std::uint32_t wake_restart = 3;
    /// And above: timers, the number says which.
    static constexpr std::uint32_t wake_timer = 16;

    void start(const asked_file& asked, bool plain);
    void vanish(network& net);
    void work();
    void after();
    void finish();
    [[nodiscard]] sim_socket* socket() const;

    kernel::parts world_;
    own_client_plan plan_;
    prng random_;
    kernel kernel_;
    scratch& memory_;
    disk& files_;
    client_report report_;
    asked_file asked_;
    client_request request_;
    std::unique_ptr<checked_sink> sink_;
    std::unique_ptr<checked_source> source_;
    std::unique_ptr<transfer> transfer_;
    bool awaits_restart_ = true;
    bool restarted_ = false;
    /// Of the last request.
    std::uint16_t port_ = 0;
    bool reported_ = false;
    bool plain_ = false;
    bool work_pending_ = false;
    std::uint32_t timer_number_ = wake_timer;
    std::optional<time_point> timer_;
    time_point expired_at_;
    unsigned expired_ = 0;
};

} // namespace tftp::sim
