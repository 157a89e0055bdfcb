// bench_load: the clients that a server is measured with. One thread; every octet is compared.
#include "bench/client.hpp"
#include "bench/plan.hpp"
#include "bench/tally.hpp"

#include <tftp/base/unique_fd.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <queue>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::bench {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// A whole file in memory, which is read before the clock starts.
class mapped_file {
public:
    explicit mapped_file(const std::string& path) {
        const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));

        struct stat about {};

        if (!fd || ::fstat(fd.get(), &about) != 0) {
            fail(path);
        }
        size_ = std::size_t(about.st_size);
        if (size_ == 0) {
            return;
        }
        base_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
        if (base_ == MAP_FAILED) {
            fail(path);
        }
    }

    ~mapped_file() {
        if (size_ != 0) {
            ::munmap(base_, size_);
        }
    }

    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;

    [[nodiscard]] bytes_view octets() const noexcept {
        return {static_cast<const std::byte*>(base_), size_};
    }

private:
    void* base_ = nullptr;
    std::size_t size_ = 0;
};

/// Keeps as many transfers going as the plan wants, until all are done.
class generator {
public:
    generator(const plan& how, bytes_view content)
        : how_(how),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)),
          common_{how, content, counts_, ring_, sim::prng(how.seed), how.hold} {
        if (!epoll_) {
            fail("epoll_create1");
        }
    }

    [[nodiscard]] tally& run() {
        const auto begun = clock::now();
        slots_.resize(std::min<std::uint64_t>(how_.clients, how_.transfers));
        if (how_.hold) {
            watch(STDIN_FILENO, stdin_slot);
        }
        do {
            fill();
            turn(begun + how_.limit);
        } while (running_ > 0);
        return counts_;
    }

private:
    static constexpr std::size_t stdin_slot = ~std::size_t(0);

    struct timer {
        clock::time_point when;
        std::size_t slot;
        std::uint64_t number;

        friend bool operator>(const timer& a, const timer& b) noexcept { return a.when > b.when; }
    };

    struct place {
        std::unique_ptr<client> who;
        std::uint64_t number = 0;
        /// Counted in `opening_`.
        bool opening = false;
    };

    void watch(int fd, std::size_t slot) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = slot;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
            fail("epoll_ctl");
        }
    }

    /// Fills slots that were never used, as long as not too many wait for a first answer.
    void fill() {
        while (filled_ < slots_.size() && opening_ < how_.opening) {
            begin(filled_++, clock::now());
        }
    }

    /// Fills an empty slot with the next transfer, as long as there is one.
    void begin(std::size_t slot, clock::time_point now) {
        while (begun_ < how_.transfers) {
            place& here = slots_[slot];
            here.number = begun_++;
            here.who = begin_transfer(common_, here.number, now);
            if (!here.who->ended()) {
                ++running_;
                ++opening_;
                here.opening = true;
                watch(here.who->fd(), slot);
                timers_.push({here.who->deadline(), slot, here.number});
                return;
            }
            here.who.reset();
        }
    }

    void turn(clock::time_point limit) {
        std::array<epoll_event, 256> events{};
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), int(events.size()), wait_ms(limit));
        if (count < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        const auto now = clock::now();
        for (int i = 0; i < count; ++i) {
            const std::size_t slot = events[std::size_t(i)].data.u64;
            if (slot == stdin_slot) {
                release(now);
                continue;
            }
            slots_[slot].who->on_readable(now);
            settle(slot, now);
        }
        run_timers(now);
        if (common_.holding && !announced_) {
            announce_hold();
        }
        if (now >= limit) {
            cut(now);
        }
    }

    [[nodiscard]] int wait_ms(clock::time_point limit) const {
        const auto next = timers_.empty() ? limit : std::min(limit, timers_.top().when);
        const auto rest = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now());
        return int(std::max<std::chrono::milliseconds::rep>(0, rest.count()));
    }

    /// Each running transfer has one entry, whose time may have moved later since.
    void run_timers(clock::time_point now) {
        while (!timers_.empty() && timers_.top().when <= now) {
            const timer due = timers_.top();
            timers_.pop();
            const place& here = slots_[due.slot];
            if (!here.who || here.number != due.number) {
                continue;
            }
            if (here.who->deadline() <= now) {
                // With thousands of clients the answer may be there and not yet looked at.
                here.who->on_readable(now);
                if (!here.who->ended() && here.who->deadline() <= now) {
                    here.who->on_time(now);
                }
                settle(due.slot, now);
            }
            if (here.who && here.number == due.number) {
                timers_.push({here.who->deadline(), due.slot, due.number});
            }
        }
    }

    /// Sees whether a transfer was answered, and replaces one that has ended by the next.
    void settle(std::size_t slot, clock::time_point now) {
        place& here = slots_[slot];
        if (here.opening && (here.who->answered() || here.who->ended())) {
            here.opening = false;
            --opening_;
        }
        if (here.who->ended()) {
            here.who.reset();
            --running_;
            begin(slot, now);
        }
    }

    void announce_hold() {
        if (counts_.first_block.size() + counts_.failed == how_.transfers) {
            announced_ = true;
            std::puts("holding");
            std::fflush(stdout);
        }
    }

    void release(clock::time_point now) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
        common_.holding = false;
        for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
            if (slots_[slot].who) {
                slots_[slot].who->resume(now);
                settle(slot, now);
            }
        }
    }

    void cut(clock::time_point now) {
        begun_ = how_.transfers;
        filled_ = slots_.size();
        for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
            if (slots_[slot].who) {
                slots_[slot].who->fail("cut");
                settle(slot, now);
            }
        }
    }

    const plan& how_;
    unique_fd epoll_;
    tally counts_;
    receive_ring ring_;
    common common_;
    std::vector<place> slots_;
    std::priority_queue<timer, std::vector<timer>, std::greater<>> timers_;
    std::uint64_t begun_ = 0;
    std::size_t filled_ = 0;
    std::size_t running_ = 0;
    std::size_t opening_ = 0;
    bool announced_ = false;
};

void raise_descriptor_limit(std::uint64_t wanted) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, wanted);
    limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail("descriptors for all clients");
    }
}

int run_load(int argc, char** argv) {
    constexpr std::uint64_t own_descriptors = 32;
    const plan how = parse_plan(argc, argv);
    raise_descriptor_limit(how.clients + own_descriptors);
    const mapped_file content(how.content_path);
    generator all(how, content.octets());
    const auto cpu_before = cpu_time();
    const auto begun = clock::now();
    tally& counts = all.run();
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begun);
    fmt::print("{}\n", to_json(counts, wall, cpu_time() - cpu_before));
    return counts.failed == 0 ? 0 : 1;
}

} // namespace
} // namespace tftp::bench

/// Exit status: 0 when every transfer was completed, 1 when one was not, 2 for anything else.
int main(int argc, char** argv) {
    try {
        return tftp::bench::run_load(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_load: {}\n", error.what());
        return 2;
    }
}
