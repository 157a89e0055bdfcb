#include "support/fuse_disk.hpp"

#include "support/refused.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tftp::test {

namespace {

constexpr std::uint64_t file_node = 2;
/// More than the largest request the kernel makes of a file system that takes no writes.
constexpr std::size_t request_max = std::size_t{1} << 18;

void require(bool done, const char* what) {
    if (!done) {
        throw std::system_error(errno, std::generic_category(), what);
    }
}

} // namespace

void fuse_disk::try_here() {
    try_own_mounts();
    // Who may mount anything may mount this, once there is the device.
    if (!unique_fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC))) {
        throw refused_here("/dev/fuse", errno);
    }
}

void fuse_disk::prepare() {
    static const bool own_mounts = [] {
        try_own_mounts();
        enter_own_mounts();
        return true;
    }();
    require(own_mounts, "mount namespace");
}

fuse_disk::fuse_disk(const std::filesystem::path& where, std::string content)
    : where_(where),
      content_(std::move(content)),
      device_(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK)),
      changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!device_) {
        throw refused_here("/dev/fuse", errno);
    }
    require(bool(changed_), "eventfd");
    const std::string options =
        "fd=" + std::to_string(device_.get()) + ",rootmode=40755,user_id=0,group_id=0,allow_other";
    if (::mount("disk", where_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
        throw refused_here("mount of FUSE", errno);
    }
    thread_ = std::thread([this] { serve(); });
    // Once it has answered, the kernel's first words to it are said too.
    if (!std::filesystem::exists(where_ / file_name)) {
        throw std::system_error(std::make_error_code(std::errc::io_error), "disk");
    }
}

fuse_disk::~fuse_disk() {
    recover();
    // MNT_FORCE ends the connection: every request that waits fails, and read(2) of the device too.
    ::umount2(where_.c_str(), MNT_FORCE);
    ::umount2(where_.c_str(), MNT_DETACH);
    thread_.join();
}

void fuse_disk::stall() {
    stalled_ = true;
    ::eventfd_write(changed_.get(), 1);
    parked_.acquire();
}

void fuse_disk::recover() {
    if (stalled_.exchange(false)) {
        ::eventfd_write(changed_.get(), 1);
    }
}

bool fuse_disk::wait_for_request(std::chrono::milliseconds limit) const {
    ::pollfd device{device_.get(), POLLIN, 0};
    return ::poll(&device, 1, static_cast<int>(limit.count())) == 1;
}

void fuse_disk::serve() {
    std::string buffer(request_max, '\0');
    bool parked = false;
    for (;;) {
        std::array<::pollfd, 2> wait{
            {{changed_.get(), POLLIN, 0}, {parked ? -1 : device_.get(), POLLIN, 0}}};
        ::poll(wait.data(), wait.size(), -1);
        if ((wait[0].revents & POLLIN) != 0) {
            ::eventfd_t count = 0;
            ::eventfd_read(changed_.get(), &count);
            if (stalled_ && !parked) {
                parked_.release();
            }
            parked = stalled_;
        } else if (!serve_one(buffer)) {
            return;
        }
    }
}

bool fuse_disk::serve_one(std::string& buffer) {
    const ::ssize_t size = ::read(device_.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) {
        return true;
    }
    if (size < static_cast<::ssize_t>(sizeof(fuse_in_header))) {
        return false; // unmounted
    }
    const auto* const header = reinterpret_cast<const fuse_in_header*>(buffer.data());
    answer(*header, buffer.data() + sizeof *header);
    return true;
}

void fuse_disk::answer(const fuse_in_header& request, const void* argument) {
    const auto attributes_of = [this](std::uint64_t node) {
        fuse_attr attributes{};
        attributes.ino = node;
        attributes.nlink = 1;
        attributes.mode = node == file_node ? S_IFREG | 0644U : S_IFDIR | 0755U;
        attributes.size = node == file_node ? content_.size() : 0;
        return attributes;
    };
    switch (request.opcode) {
    case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = 4096;
        reply(request, 0, &out, sizeof out);
        return;
    }
    case FUSE_LOOKUP: {
        // Valid for no time at all: each use of a name asks again.
        fuse_entry_out out{};
        const bool known = static_cast<const char*>(argument) == file_name;
        out.nodeid = file_node;
        out.attr = attributes_of(file_node);
        reply(request, known ? 0 : -ENOENT, &out, known ? sizeof out : 0);
        return;
    }
    case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes_of(request.nodeid);
        reply(request, 0, &out, sizeof out);
        return;
    }
    case FUSE_OPEN: {
        // No page cache: each read asks.
        fuse_open_out out{};
        out.open_flags = FOPEN_DIRECT_IO;
        reply(request, 0, &out, sizeof out);
        return;
    }
    case FUSE_READ: {
        if (++reads_ == 1) {
            read_.release();
        }
        std::this_thread::sleep_for(delay_.load());
        const auto& wanted = *static_cast<const fuse_read_in*>(argument);
        const std::size_t from = std::min<std::size_t>(wanted.offset, content_.size());
        const std::size_t size = std::min<std::size_t>(wanted.size, content_.size() - from);
        reply(request, 0, content_.data() + from, size);
        return;
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        reply(request, 0, nullptr, 0);
        return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return; // these expect no answer
    default:
        reply(request, -ENOSYS, nullptr, 0);
    }
}

void fuse_disk::reply(const fuse_in_header& to, int error, const void* payload, std::size_t size)
    const {
    fuse_out_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + size);
    header.error = error;
    header.unique = to.unique;
    const std::array<::iovec, 2> parts{
        {{&header, sizeof header}, {const_cast<void*>(payload), size}}};
    const ::ssize_t written = ::writev(device_.get(), parts.data(), size == 0 ? 1 : 2);
    // Fails when whoever asked is gone.
    static_cast<void>(written);
}

} // namespace tftp::test
