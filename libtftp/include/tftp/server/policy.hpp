#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/server/service_config.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/option_list.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace tftp {

class content_provider;

/// What is known of a request when it is decided about.
///
/// Lifetime: `name` and `options` borrow the datagram.
struct request_facts {
    endpoint peer;
    /// The address that was asked, with its port.
    endpoint local;
    transfer_direction direction = transfer_direction::read;
    /// As the peer sent it: escape before logging, check before use.
    std::string_view name;
    transfer_mode mode = transfer_mode::octet;
    /// What the request asks for.
    option_list options;
};

/// How a request is refused.
struct refusal_text {
    /// Code and text of the ERROR that answers it.
    peer_errc code = peer_errc::undefined;
    std::string text;
    /// What the log and the events say.
    error_code why;
};

/// What is decided about a request.
struct verdict {
    /// Set: the request is refused, and the rest says nothing but `rule`.
    std::optional<refusal_text> refused;
    /// Which rule said so. Lifetime: that of the policy.
    std::string_view rule;
    /// What the content is asked for in place of the name in the request; empty: that one.
    std::string name;
    /// Where the content is, in place of `shard_dependencies::files`; null: there. Lifetime: that
    /// of the policy, and of the pool's jobs.
    content_provider* files = nullptr;
    /// The most that is granted.
    option_limits options;
    /// Grant no blksize whose DATA would be fragmented on the route to the client.
    bool blksize_auto = true;
    engine_config engine;
};

/// Decides about requests before they are admitted. One function from facts to a verdict: what a
/// server does and what a program says it would do come from the same call.
///
/// Thread-safe: called by all threads of a server.
class request_policy {
public:
    request_policy() = default;
    request_policy(const request_policy&) = delete;
    request_policy& operator=(const request_policy&) = delete;
    virtual ~request_policy() = default;

    /// Decides about the request that `facts` describe. config: the one in force. Throws
    /// std::bad_alloc.
    [[nodiscard]] virtual verdict
    decide(const request_facts& facts, const service_config& config) const = 0;
};

/// The policy of a server that was given none. Its only rule, "default", lets every request have
/// what the configuration allows.
class default_policy final : public request_policy {
public:
    [[nodiscard]] verdict
    decide(const request_facts& facts, const service_config& config) const override;
};

} // namespace tftp
