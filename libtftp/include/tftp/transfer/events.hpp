#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tftp {

/// Why what arrived at a server was thrown away, or answered with an ERROR.
enum class reason : std::uint8_t {
    // Datagrams that no client sends. Dropped: RFC 1123 4.2.3.5.
    /// The source port is 0.
    source_port_zero,
    /// The source is a port where servers listen.
    source_is_server,
    /// It was sent to a broadcast or multicast address.
    sent_to_group,
    /// Something else than a request came to a port of requests.
    not_a_request,
    /// What came to a shared port belongs to no transfer. Answered with ERROR 5 if it is DATA, ACK
    /// or a request.
    stranger,

    // Requests that are dropped without an answer.
    /// The server takes no more requests.
    not_accepting,
    /// More requests in a second than the server may take.
    server_pace,
    /// More requests in a second than the client may send.
    client_pace,
    /// The client did not acknowledge much of what it was sent: the address may be forged.
    unacknowledged,
    /// It repeats the request of a transfer, or of content that is being opened.
    repeated,
    /// The transfer of the same client port went on: it was forged, or came late.
    overtaken,
    /// The transfer of the same client port commits its upload.
    committing,
    /// Too much waits for disks.
    disks_busy,
    /// Opening the content took longer than a silent client is borne.
    opening_stalled,
    /// Another request of the client took its place while its content was opened.
    opening_evicted,

    // Requests that are answered with an ERROR.
    /// ERROR 4.
    malformed,
    /// ERROR 4.
    unsupported_mode,
    /// The policy said no.
    policy,
    /// As many transfers as there may be.
    overloaded,
    /// As many transfers as this client may have.
    client_overloaded,
    /// The content was not opened: not found, no access, disk full.
    content,
    /// No port, or the system gave none.
    no_port,
    /// Descriptors or memory are short.
    shortage,
};

/// How many reasons there are.
inline constexpr std::size_t reasons = static_cast<std::size_t>(reason::shortage) + 1;

/// Returns the name of a reason as it is written in this header.
[[nodiscard]] std::string_view to_string(reason why) noexcept;

/// A request, for whoever hears of events.
///
/// Lifetime: borrows what was received, and the policy.
struct request_event {
    endpoint peer;
    /// The address that was asked, with its port.
    endpoint local;
    transfer_direction direction = transfer_direction::read;
    /// As the peer sent it: escape before logging.
    std::string_view filename;
    transfer_mode mode = transfer_mode::octet;
    /// The rule of the policy that decided; empty before.
    std::string_view rule;
};

/// Hears of what happens to requests. Called on the shard's thread, in the middle of its work: it
/// must be quick and must not call the shard.
class observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer() = default;

    /// A request is new: well formed, no repeat, and nothing is decided yet.
    virtual void on_requested(const request_event& asked) noexcept { static_cast<void>(asked); }

    /// Something from `peer` was thrown away.
    virtual void on_dropped(reason why, const endpoint& peer, const endpoint& local) noexcept {
        static_cast<void>(why);
        static_cast<void>(peer);
        static_cast<void>(local);
    }

    /// A request is answered with an ERROR. what: the cause, as on_finished() has it.
    virtual void
    on_refused(const request_event& asked, reason why, const error_code& what) noexcept {
        static_cast<void>(asked);
        static_cast<void>(why);
        static_cast<void>(what);
    }

    /// A transfer begins. agreed: what its options came to.
    virtual void on_started(const request_event& asked, const parameters& agreed) noexcept {
        static_cast<void>(asked);
        static_cast<void>(agreed);
    }

    /// A request came to its end, a refused one included.
    virtual void on_finished(const transfer_summary& summary) noexcept = 0;
};

} // namespace tftp
