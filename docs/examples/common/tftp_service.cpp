#include "common/tftp_service.hpp"

#include <tftp/file/directory_provider.hpp>
#include <tftp/file/export_root.hpp>

#include <boost/system/system_error.hpp>

#include <new>
#include <utility>

namespace example {

std::unique_ptr<tftp::content_provider> open_directory(const std::string& directory) {
    auto root = tftp::export_root::open(directory.c_str(), {});
    if (!root) {
        throw boost::system::system_error(root.error(), directory);
    }
    return std::make_unique<tftp::directory_provider>(*root);
}

tftp_service::tftp_service(const tftp::endpoint& where, const std::string& directory)
    : files_(open_directory(directory)),
      shard_({*files_, ports_, *this, *this}, {}, tftp::clock::now()) {
    tftp::socket_options options;
    options.local_addresses = true;
    options.waiting_times = true;
    auto port = ports_.open(where, options);
    if (!port) {
        throw boost::system::system_error(port.error(), "listen");
    }
    address_ = (*port)->local_endpoint();
    if (const tftp::error_code failed = shard_.listen(std::move(*port))) {
        throw boost::system::system_error(failed, "listen");
    }
}

void tftp_service::changes(std::vector<tftp::interest>& out) {
    out.insert(out.end(), changed_.begin(), changed_.end());
    changed_.clear();
}

void tftp_service::on_ready(int fd, bool readable, bool writable, tftp::time_point now) {
    if (const auto found = handlers_.find(fd); found != handlers_.end()) {
        found->second->on_event(readable, writable, now);
        // What has ended goes only here, never while it is at work.
        shard_.step(now);
    }
}

void tftp_service::on_deadline(tftp::time_point now) {
    shard_.step(now);
}

tftp::error_code
tftp_service::watch(const tftp::interest& wanted, tftp::event_handler& handler) noexcept {
    try {
        handlers_[wanted.fd] = &handler;
        changed_.push_back(wanted);
        return {};
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

void tftp_service::unwatch(int fd) noexcept {
    handlers_.erase(fd);
    try {
        changed_.push_back({fd, false, false});
    } catch (const std::bad_alloc&) {
        // It is closed next, and a server that still waits for it is told so by the system.
    }
}

} // namespace example
