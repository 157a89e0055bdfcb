#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/fixed_text.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace tftp {

/// How far a transfer has come.
struct progress {
    /// Of content, acknowledged or stored.
    std::uint64_t bytes = 0;
    /// What there is in all, when it is known.
    std::optional<std::uint64_t> total{};
};

class progress_callback;

/// What can be called with a `progress` and says whether to go on.
template <class Callable>
concept progress_function = std::is_invocable_r_v<bool, Callable&, const progress&> &&
    !std::same_as<std::remove_const_t<Callable>, progress_callback>;

/// Who hears of progress about ten times a second, and once when the transfer went well: anything
/// that has a name and can be called with a `progress`. It returns false to end the transfer with
/// `errc::stopped`.
///
/// Lifetime: borrows the callable, which outlives the transfer; a temporary one is refused. It is
/// called where the transfer runs and must not throw.
class progress_callback {
public:
    /// Calls nobody.
    constexpr progress_callback() = default;

    /// Calls `callable`.
    template <progress_function Callable>
    constexpr progress_callback(Callable& callable) noexcept // NOLINT(google-explicit-constructor)
        : object_(&callable), call_([](const void* object, const progress& so_far) -> bool {
              return (*static_cast<Callable*>(const_cast<void*>(object)))(so_far);
          }) {}

    [[nodiscard]] explicit operator bool() const noexcept { return call_ != nullptr; }

    /// Calls it; there is one.
    [[nodiscard]] bool operator()(const progress& so_far) const { return call_(object_, so_far); }

private:
    const void* object_ = nullptr;
    bool (*call_)(const void*, const progress&) = nullptr;
};

/// Asks for no options: RFC 1350 alone, 512 bytes for each round trip.
inline constexpr offer no_options{};

/// What a client asks a server for, and how. Used by the blocking and the asynchronous front alike.
///
/// Where a URL is given as well, `server`, `filename` and `mode` are taken from that. Trivially
/// copyable: g++ 12 destroys any other aggregate twice that is written in the operand of a
/// co_await.
struct client_request {
    /// The server; port 69 unless it listens elsewhere. RFC 1350 s.4.
    endpoint server{};
    /// As it stands in the packet: not empty, no NUL, and it must fit with all options in 512
    /// bytes.
    fixed_text<request_size_max + 1> filename{};
    transfer_mode mode = transfer_mode::octet;
    /// Longest time from the start to the outcome, asking again without options and looking up
    /// the host included; then it ends with `errc::out_of_time`, however well it moves. Empty: no
    /// limit, but a silent server is given up after a while, see `engine_config`.
    std::optional<duration> timeout{};
    /// May be empty.
    progress_callback on_progress{};
    /// Options to ask for. Empty: those that suit the route to the server, see `offer_for`. Set:
    /// exactly these, so none with `no_options`. For a write, tsize is filled in from the source.
    std::optional<offer> options{};
    /// Numeric address to send from, or a port, or both: "192.0.2.5", "192.0.2.5:4000",
    /// "[2001:db8::5]:4000", ":4000". Empty: the system's choice.
    fixed_text<64> local{};
    /// Name of the network interface to send and receive by, such as "eth1". Empty: as routes say.
    /// Takes CAP_NET_RAW before Linux 5.7.
    fixed_text<16> device{};
    /// Most bytes that a read may store: a larger announced size ends it with `errc::too_large`
    /// before any content comes, and so does the first byte beyond. 0: no limit.
    std::uint64_t size_max_bytes = 0;
    /// When the server answers the options with ERROR 0, 4 or 8, ask once more without any
    /// (RFC 2347).
    bool fall_back = true;
    engine_config engine{};
    /// How windows leave (a write).
    segmentation sends = segmentation::gso;
};

static_assert(std::is_trivially_copyable_v<client_request>);

/// Returns the blksize that fits the route to `server` without fragments, at most 8192: many
/// servers and queues do not take more. 1428 when the route is not known. RFC 2348.
[[nodiscard]] std::uint16_t default_blksize(const endpoint& server) noexcept;

/// Returns the options that suit a read or a write on a route of `blksize` octets per block:
/// blksize, a window of 64 or as many as make up 256 KiB, tsize 0.
[[nodiscard]] offer default_offer(std::uint16_t blksize) noexcept;

/// Returns the options that `asked` goes out with: its own, or by default those that suit the route
/// as `default_blksize` and `default_offer` say. Asks the kernel for the route; sends nothing.
[[nodiscard]] offer offer_for(const client_request& asked) noexcept;

/// Returns true when `ended` is a server's refusal of the options of `asked`, so that asking again
/// without any is worth it. RFC 2347.
[[nodiscard]] bool
may_fall_back(const client_request& asked, const transfer_summary& ended) noexcept;

/// Returns what to tell of a request that was refused with its options and then made without any:
/// `plain`, but with the ERROR of `refused` when nothing answered the plain one.
[[nodiscard]] transfer_summary
after_falling_back(transfer_summary refused, transfer_summary plain) noexcept;

/// Returns the family of the addresses that `asked.local` can send to; `none` for both.
[[nodiscard]] address_family family_of(const client_request& asked) noexcept;

/// Returns true when another address of the same host may do better: this one cannot be reached, or
/// nobody listens there, and nothing was transferred.
[[nodiscard]] bool worth_another_address(const transfer_summary& ended) noexcept;

/// Returns when a request that starts at `now` has to be over; `time_point::max()` without a limit.
[[nodiscard]] time_point last_moment(const client_request& asked, time_point now) noexcept;

} // namespace tftp
