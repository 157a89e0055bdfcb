#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace tftp {

/// A request that waits because its client has a transfer: it is forged, or a copy that came late,
/// if that transfer goes on.
///
/// Lifetime: the port outlives it.
struct held_request {
    datagram_socket* port = nullptr;
    endpoint peer;
    /// The address that was asked, with its port; and the source of an answer, as the port has it.
    endpoint asked;
    endpoint to;
    std::vector<std::byte> datagram;
    time_point arrived;
    /// When it is decided.
    time_point due;
};

/// The requests of a service that wait, one for each client port and address asked, in all a
/// bounded number: what does not fit is forgotten, and its client asks again.
///
/// Not thread-safe.
class held_requests {
public:
    /// Most that wait at the same time.
    static constexpr std::size_t most = 256;

    /// Has `added` wait, in the place of another one of the same client port. Forgets it when there
    /// is no room. Throws std::bad_alloc.
    void add(held_request added);

    /// Takes out one that is due; empty when there is none.
    [[nodiscard]] std::optional<held_request> take_due(time_point now) noexcept;

    /// Forgets the request of `peer` to `asked`. Returns false when there is none.
    bool forget(const endpoint& peer, const endpoint& asked) noexcept;
    /// Forgets all.
    void clear() noexcept;

    /// Returns when the next one is due.
    [[nodiscard]] std::optional<time_point> due() const noexcept;

    /// Returns how many wait.
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

private:
    [[nodiscard]] std::vector<held_request>::iterator
    find(const endpoint& peer, const endpoint& asked) noexcept;
    void remove(std::vector<held_request>::iterator which) noexcept;

    std::vector<held_request> all_;
};

} // namespace tftp
