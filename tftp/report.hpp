#pragma once

#include "arguments.hpp"
#include "exit_code.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/transfer/summary.hpp>

#include <cstddef>
#include <string>

namespace tftp::cli {

/// Everything there is to tell about one run of the program.
struct report {
    arguments asked;
    /// Family `none` when the host was not found.
    endpoint server;
    /// Addresses the host has.
    std::size_t addresses = 0;
    /// What was offered to the server.
    offer offered;
    transfer_summary summary;
    /// Where `summary.outcome` comes from, when it is a failure.
    origin from = origin::client;
    exit_code code = exit_code::ok;
    /// Why no address was found; then nothing was sent.
    std::string unresolved;
};

/// Returns one line, without its end, that says what went wrong and what to do about it.
///
/// what the server says is in it, escaped.
[[nodiscard]] std::string error_line(const report& r);

/// Returns one line, without its end, about a transfer that went well.
[[nodiscard]] std::string summary_line(const report& r);

/// Returns one line, without its end, when a size that the user gave is not in force: the server
/// chose another, or the receive buffer of this system holds no such window. Empty otherwise.
[[nodiscard]] std::string refusal_line(const report& r);

/// Returns the object of --json, in one line without its end. RFC 8259.
[[nodiscard]] std::string json_object(const report& r);

} // namespace tftp::cli
