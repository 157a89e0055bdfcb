#include <tftp/driver/epoll_poller.hpp>

#include <cerrno>
#include <system_error>

namespace tftp::io {

epoll_poller::epoll_poller() : set_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!set_) {
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
}

error_code epoll_poller::watch(const interest& wanted, void* token) noexcept {
    if (!wanted.read && !wanted.write) {
        // An error that waits would be reported all the same, again and again.
        unwatch(wanted.fd);
        return {};
    }
    ::epoll_event event{};
    event.events = (wanted.read ? EPOLLIN : 0U) | (wanted.write ? EPOLLOUT : 0U);
    event.data.ptr = token;
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, wanted.fd, &event) == 0 ||
        (errno == EEXIST && ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, wanted.fd, &event) == 0)) {
        return {};
    }
    return {errno, boost::system::system_category()};
}

void epoll_poller::unwatch(int fd) noexcept {
    static_cast<void>(::epoll_ctl(set_.get(), EPOLL_CTL_DEL, fd, nullptr));
}

std::size_t epoll_poller::dispatch(service& target, time_point now) noexcept {
    const int ready = ::epoll_wait(set_.get(), events_.data(), static_cast<int>(events_.size()), 0);
    for (int i = 0; i < ready; ++i) {
        const ::epoll_event& event = events_[static_cast<std::size_t>(i)];
        // An error waits to be read like a datagram.
        const bool readable = (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        target.on_ready(event.data.ptr, readable, (event.events & EPOLLOUT) != 0, now);
    }
    target.settle();
    return ready > 0 ? static_cast<std::size_t>(ready) : 0;
}

} // namespace tftp::io
