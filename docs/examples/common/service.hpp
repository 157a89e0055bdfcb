#pragma once

#include <tftp/base/time.hpp>
#include <tftp/transfer/transfer.hpp>

#include <concepts>
#include <optional>
#include <vector>

namespace example {

/// What a server serves, whatever way it has to wait: TCP echo or TFTP. A server of this kind has
/// one thread, waits for many descriptors at once, and tells the service what is ready:
///
///     while (!stop) {
///         for (interest each : changes of the service) watch it from now on;
///         wait until a descriptor is ready, or the deadline has come;
///         service.on_ready(fd, readable, writable, now), or service.on_deadline(now);
///     }
///
/// How the waiting is done is all in which such servers differ.
template <class S>
concept service = requires(S s, std::vector<tftp::interest>& out, int fd, tftp::time_point now) {
    /// Adds what is to be watched for differently since the last call: the interest of a
    /// descriptor, which is neither reading nor writing once it is to be forgotten.
    s.changes(out);
    /// Descriptor `fd` can be read, written, or both. One that was forgotten meanwhile is ignored.
    s.on_ready(fd, true, true, now);
    /// When to call on_deadline(); empty: never.
    { s.deadline() } -> std::same_as<std::optional<tftp::time_point>>;
    s.on_deadline(now);
    /// Whether on_ready() reads until nothing is left, as edge-triggered waiting asks for.
    { S::reads_all } -> std::convertible_to<bool>;
};

} // namespace example
