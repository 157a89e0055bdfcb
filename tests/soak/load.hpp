#pragma once

#include "sim/prng.hpp"
#include "soak/content.hpp"
#include "soak/site.hpp"

#include <tftp/client/async/async_client.hpp>
#include <tftp/transfer/summary.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace tftp::soak {

/// What the transfers of a run came to.
struct totals {
    /// Ended well, every octet compared.
    std::uint64_t whole = 0;
    std::uint64_t bytes = 0;
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t netascii = 0;
    std::uint64_t windows = 0;
    std::uint64_t lossy = 0;
    /// Past block 65535.
    std::uint64_t rollovers = 0;
    std::uint64_t retransmissions = 0;
    /// Ended early on purpose.
    std::uint64_t cancelled = 0;
    std::uint64_t killed = 0;
    std::uint64_t silent = 0;
    /// Asked again from the port of a transfer that was left.
    std::uint64_t same_port = 0;
    /// Ended by the daemon's own end.
    std::uint64_t cut = 0;
    std::uint64_t daemon_ends = 0;
    std::uint64_t datagrams_lost = 0;
    /// The transfer that took longest, and how long.
    duration slowest_took{};
    std::string slowest;
    std::vector<std::string> defects;

    /// Returns how many transfers were begun and came to their end, whichever.
    [[nodiscard]] std::uint64_t transfers() const noexcept {
        return whole + cancelled + killed + silent + cut;
    }
};

/// The clients of one daemon: each member function is one transfer, from its choice to its check.
class load {
public:
    /// serving: the daemon now; another one after a restart. loss: of the datagrams that go through
    /// a relay, 0 to 1. All borrowed; used in the thread of `executor` only.
    load(
        boost::asio::any_io_executor executor,
        std::shared_ptr<site>& serving,
        totals& counts,
        double loss,
        std::uint64_t seed
    );
    ~load();
    load(const load&) = delete;
    load& operator=(const load&) = delete;

    /// Runs one transfer of a random kind.
    [[nodiscard]] boost::asio::awaitable<void> one();

    /// Lets silent clients speak up: each ends its transfer with ERROR.
    void end_silent();

private:
    struct plain_peer;
    struct relay;

    struct how_to {
        bool lossy = false;
        bool cancel = false;
    };

    [[nodiscard]] boost::asio::awaitable<void> read(how_to how);
    [[nodiscard]] boost::asio::awaitable<void> write(how_to how);
    [[nodiscard]] boost::asio::awaitable<void> killed();
    [[nodiscard]] boost::asio::awaitable<void> silent();
    [[nodiscard]] boost::asio::awaitable<void> same_port();
    [[nodiscard]] client_request request_for(const site& at, const file& what, how_to how);
    [[nodiscard]] std::shared_ptr<relay> a_relay(const site& at);
    [[nodiscard]] boost::asio::awaitable<void> pause(std::uint64_t most_us);
    /// Counts a transfer of our client, and returns whether it ended well.
    bool
    ended(const site& at, const client_request& asked, const transfer_summary& summary, how_to how);
    void defect(std::string what);

    boost::asio::any_io_executor executor_;
    std::shared_ptr<site>& serving_;
    totals& counts_;
    double loss_;
    sim::prng random_;
    client client_;
    std::shared_ptr<relay> relay_;
    std::deque<std::unique_ptr<plain_peer>> silent_;
};

} // namespace tftp::soak
