#pragma once

#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/process.hpp"
#include "support/udp_client.hpp"

#include <tftp/base/endpoint.hpp>

#include <chrono>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace tftp::test {

/// Longest wait for something the daemon is about to do; reached only by a test that fails.
inline constexpr auto daemon_limit = std::chrono::seconds(30);

/// Path of the program under test.
[[nodiscard]] std::string tftpd_program();

/// Returns the options that every tftpd under test needs: in builds with sanitizers or coverage,
/// whose run-time libraries do what the confinement forbids, those that turn it off.
[[nodiscard]] std::vector<std::string> daemon_options();

/// What to run, and nothing else about it.
[[nodiscard]] command command_of(std::vector<std::string> argv);

/// Runs tftpd to its end: for command lines that do not serve.
[[nodiscard]] run_result run_tftpd(const std::vector<std::string>& arguments);

/// The real tftpd, serving an empty directory of its own. As root it becomes `nobody`.
class daemon_process {
public:
    /// Starts it and waits until it serves. Throws std::runtime_error with its words otherwise.
    ///
    /// options: besides --listen. listen: arguments of --listen; port 0 picks one. wrapper: a
    /// program, such as prlimit, that runs the daemon.
    explicit daemon_process(
        const std::vector<std::string>& options = {},
        const std::vector<std::string>& listen = {"127.0.0.1:0"},
        const std::vector<std::string>& wrapper = {}
    );

    /// The directory that is served; `nobody` may write there.
    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_.path(); }

    /// The first address it listens on.
    [[nodiscard]] const tftp::endpoint& server() const noexcept { return endpoints_.front(); }

    /// All of them, in the order of --listen.
    [[nodiscard]] const std::vector<tftp::endpoint>& endpoints() const noexcept {
        return endpoints_;
    }

    [[nodiscard]] child_process& process() noexcept { return *process_; }

    /// Returns the first log line that contains `part`, waiting for it; empty when none came.
    [[nodiscard]] std::string line(std::string_view part);

    /// Returns whether it still answers a request.
    [[nodiscard]] bool serves();

private:
    temp_dir root_;
    std::optional<child_process> process_;
    std::vector<tftp::endpoint> endpoints_;
};

/// Returns DATA with that payload.
[[nodiscard]] datagram data_of(std::uint16_t block, std::string_view payload);

/// Returns the part of `content` that belongs into a block of 512 bytes.
[[nodiscard]] std::string_view block_of(std::string_view content, std::size_t block);

/// Returns the opcode of a datagram; 0 when it has none.
[[nodiscard]] std::uint16_t opcode_of(const arrived& message);

/// Returns the code of an ERROR; empty for any other datagram.
[[nodiscard]] std::optional<std::uint16_t> error_code_of(const arrived& message);

/// Returns the next datagram. Fails the test when none comes.
[[nodiscard]] arrived next(udp_client& client);

/// Returns the next datagram that is not `before` once more: its timer repeats it when a test is
/// slow. Fails the test when none comes.
[[nodiscard]] arrived next_after(udp_client& client, const arrived& before);

/// Throws away what has come, sends a datagram and returns the next one that comes. Fails the test
/// when none does.
[[nodiscard]] arrived ask(udp_client& client, const tftp::endpoint& where, const datagram& message);

/// Fetches a file in lockstep from the answer on. Fails the test when the transfer breaks.
[[nodiscard]] std::string fetch_rest(udp_client& client, arrived answer, std::size_t blksize = 512);

/// Fetches a file in lockstep with a plain RFC 1350 request.
[[nodiscard]] std::string
fetch(const tftp::endpoint& where, std::string_view name, std::string_view mode = "octet");

/// Sends content in lockstep to a transfer that is ready for block 1, and returns the answer to the
/// last block.
[[nodiscard]] arrived
store_rest(udp_client& client, const tftp::endpoint& transfer, std::string_view content);

} // namespace tftp::test
