#pragma once

#include <memory>
#include <sim/crowd_plan.hpp>
#include <vector>

namespace tftp::sim {

/// Puts datagrams on the wire that nobody of the transfers sent.
class injector final : public station {
public:
    /// clients: whose sockets are spoken to as well. Lifetime: all are borrowed.
    injector(
        const injector_plan& plan,
        const kernel::parts& world,
        const kernel& server,
        const std::vector<std::unique_ptr<own_client>>& clients,
        std::uint64_t seed
    );

    void on_arrival(network&, const datagram&) override {}

    void on_wake(network& net, std::uint32_t what) override;

private:
    void inject(const endpoint& from, const endpoint& to, bytes_view octets);
    void to_transfer(happening what);
    void to_listener(happening what);
    void foreign(const sim_socket& socket, const endpoint& host);
    void forge(happening what);

    injector_plan plan_;
    kernel::parts world_;
    const kernel& server_;
    const std::vector<std::unique_ptr<own_client>>& clients_;
    prng random_;
};

} // namespace tftp::sim
