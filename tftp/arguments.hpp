#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/packet.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tftp::cli {

/// What the command line asks for.
enum class action : std::uint8_t { transfer, show_help, show_version };

/// A command line, checked.
struct arguments {
    cli::action action = action::transfer;
    transfer_direction verb = transfer_direction::read;
    /// A name or an address; IPv6 without brackets.
    std::string host;
    std::uint16_t port = 69;
    /// The name on the server.
    std::string remote;
    /// The local file; empty when the content goes to standard output.
    std::string local;
    transfer_mode mode = transfer_mode::octet;
    /// Bytes; empty for what the route carries.
    std::optional<std::uint16_t> blksize;
    /// Blocks; empty for the default.
    std::optional<std::uint16_t> windowsize;
    duration timeout = std::chrono::seconds(1);
    std::uint8_t retries = 5;
    /// Of every timer; empty: it adapts.
    std::optional<duration> interval;
    /// Empty for the default.
    std::optional<duration> give_up;
    /// Most bytes that a get may store; empty for no limit.
    std::optional<std::uint64_t> max_size;
    /// Longest time of the whole transfer; empty for no limit.
    std::optional<duration> max_time;
    /// Family `none`: either.
    address_family family = address_family::none;
    /// How the blocks of a window leave (put).
    segmentation sends = segmentation::gso;
    bool no_options = false;
    bool quiet = false;
    bool json = false;
};

/// A command line that asks for nothing that can be done; `what()` says what to change.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Reads the words of a command line, the name of the program left out.
///
/// Throws `usage_error`.
[[nodiscard]] arguments parse_arguments(std::span<const char* const> words);

/// A host and the port behind it, if there is one.
struct host_and_port {
    std::string_view host;
    std::optional<std::uint16_t> port;
};

/// Splits HOST, HOST:PORT, [V6], [V6]:PORT or a bare V6.
///
/// Lifetime: `host` borrows the text. Throws `usage_error`.
[[nodiscard]] host_and_port split_host(std::string_view text);

/// Returns the last component of a remote name: what a download is called here.
///
/// Throws `usage_error` where that is no name of a file: empty, "." or "..".
[[nodiscard]] std::string local_name_for(std::string_view remote);

/// Returns the text of --help.
[[nodiscard]] std::string help_text();

/// Returns the two lines that say how to call the program.
[[nodiscard]] std::string_view usage_text() noexcept;

} // namespace tftp::cli
