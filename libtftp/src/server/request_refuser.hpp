#pragma once

#include "server/incoming_request.hpp"
#include "server/shard_context.hpp"

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/transfer/events.hpp>

#include <string_view>

namespace tftp {

/// What a client hears when a bound of the server is reached.
inline constexpr std::string_view busy_text = "server busy";

/// Ends requests that become no transfer: answers with an ERROR and reports the outcome.
///
/// Not thread-safe.
class request_refuser {
public:
    /// Lifetime: borrowed.
    explicit request_refuser(shard_context& context) noexcept : context_(context) {}

    /// Answers with the ERROR that `what` stands for.
    void refuse(const incoming_request& a, reason why, const error_code& what) noexcept;
    /// Answers with ERROR `code` and `message`. rule: the one of the policy that said so.
    void refuse(
        const incoming_request& a,
        reason why,
        peer_errc code,
        std::string_view message,
        const error_code& what,
        std::string_view rule = {}
    ) noexcept;
    /// Reports a request that is not answered.
    void drop(const incoming_request& a, reason why, const error_code& what) noexcept;

private:
    void report(const incoming_request& a, const error_code& what) noexcept;
    void answer_once(const incoming_request& a, bytes_view datagram) noexcept;

    shard_context& context_;
};

} // namespace tftp
