#include "log_file.hpp"

#include <boost/system/system_category.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace tftpd {

namespace {

using tftp::unique_fd;

constexpr ::mode_t mode = 0640;

/// A link, which whoever may write in the directory could lead to any file, is not followed, and a
/// FIFO without a reader is no reason to wait.
constexpr int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

[[nodiscard]] tftp::error_code last_error() noexcept {
    return {errno, boost::system::system_category()};
}

} // namespace

log_file::log_file(const std::string& path, const std::optional<identity>& owner) {
    const auto fail = [&path](const tftp::error_code& why) {
        throw log_file_error(fmt::format("cannot log to {}: {}", path, why.message()));
    };
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    name_ = path.substr(slash == std::string::npos ? 0 : slash + 1);
    directory_.reset(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory_) {
        fail(last_error());
    }
    file_.reset(::openat(directory_.get(), name_.c_str(), flags | O_CREAT | O_EXCL, mode));
    if (file_) {
        if (owner && ::fchown(file_.get(), owner->uid, owner->gid) != 0) {
            fail(last_error());
        }
        return;
    }
    auto there = open();
    if (!there) {
        fail(there.error());
    }
    file_ = std::move(*there);
}

tftp::result<unique_fd> log_file::open() const noexcept {
    unique_fd file(::openat(directory_.get(), name_.c_str(), flags | O_CREAT, mode));
    if (!file) {
        return last_error();
    }
    struct ::stat about = {};
    if (::fstat(file.get(), &about) != 0) {
        return last_error();
    }
    if (!S_ISREG(about.st_mode)) {
        return tftp::make_error_code(tftp::errc::not_regular);
    }
    if (about.st_nlink > 1) {
        // The other name may be that of any file.
        return make_error_code(boost::system::errc::too_many_links);
    }
    return file;
}

tftp::result<unique_fd> log_file::reopen() noexcept {
    auto fresh = open();
    if (!fresh) {
        return fresh.error();
    }
    return std::exchange(file_, std::move(*fresh));
}

} // namespace tftpd
