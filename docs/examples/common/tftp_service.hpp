#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace example {

/// Opens the directory that a TFTP server serves, to be read only. Throws std::system_error.
[[nodiscard]] std::unique_ptr<tftp::content_provider> open_directory(const std::string& directory);

/// The whole TFTP server of the library for servers that wait for many descriptors: see
/// service.hpp. tftp::shard tells a tftp::event_loop what it wants to be watched; this one
/// watches nothing, it only writes down what has changed.
class tftp_service final : private tftp::event_loop, private tftp::observer {
public:
    static constexpr bool reads_all = false;

    /// Throws std::system_error.
    tftp_service(const tftp::endpoint& where, const std::string& directory);

    /// Returns where it takes requests.
    [[nodiscard]] tftp::endpoint address() const noexcept { return address_; }

    void changes(std::vector<tftp::interest>& out);
    void on_ready(int fd, bool readable, bool writable, tftp::time_point now);

    [[nodiscard]] std::optional<tftp::time_point> deadline() const noexcept {
        return shard_.deadline();
    }

    void on_deadline(tftp::time_point now);

private:
    [[nodiscard]] tftp::error_code
    watch(const tftp::interest& wanted, tftp::event_handler& handler) noexcept override;
    void unwatch(int fd) noexcept override;

    void on_finished(const tftp::transfer_summary&) noexcept override {}

    /// By descriptor.
    std::unordered_map<int, tftp::event_handler*> handlers_;
    std::vector<tftp::interest> changed_;
    std::unique_ptr<tftp::content_provider> files_;
    tftp::udp_socket_factory ports_;
    tftp::endpoint address_;
    tftp::shard shard_;
};

} // namespace example
