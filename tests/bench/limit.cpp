// bench_limit: the packets of a transfer without TFTP. What they cost is what the kernel asks of
// any server and any client of this shape: the floor for both.
#include "bench/batch.hpp"
#include "bench/tally.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/wire/packet.hpp>

#include <boost/program_options.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tftp::bench {
namespace {

namespace po = boost::program_options;
using std::chrono::microseconds;
using clock = std::chrono::steady_clock;

/// Longest wait for one packet: nothing is lost here, so a longer one is a fault.
constexpr int silence_max_seconds = 10;

struct plan {
    std::size_t blksize = 1468;
    std::uint64_t windowsize = 1;
    std::uint64_t blocks = 100'000;
    /// Pairs of sockets, each in lockstep when there are several.
    std::size_t pairs = 1;
    /// -1: wherever the system puts it.
    int sender_cpu = -1;
    int receiver_cpu = -1;
    /// Where the blocks come from; empty: the same bytes each time.
    std::string from;
    /// Where the receiver writes the blocks; empty: nowhere.
    std::string into;
};

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

[[nodiscard]] plan parse(int argc, char** argv) {
    plan out;
    po::options_description options("bench_limit sends blocks and ACKs of no protocol.");
    // clang-format off
    options.add_options()
        ("blksize", po::value(&out.blksize)->value_name("N"), "octets of a block (default: 1468)")
        ("windowsize", po::value(&out.windowsize)->value_name("N"), "blocks for each ACK (default: 1)")
        ("blocks", po::value(&out.blocks)->value_name("N"), "blocks in all (default: 100000)")
        ("pairs", po::value(&out.pairs)->value_name("N"), "pairs of sockets in lockstep (default: 1)")
        ("sender-cpu", po::value(&out.sender_cpu)->value_name("N"), "where the sender runs")
        ("receiver-cpu", po::value(&out.receiver_cpu)->value_name("N"), "where the receiver runs")
        ("from", po::value(&out.from)->value_name("PATH"), "a file that has the blocks (default: none)")
        ("into", po::value(&out.into)->value_name("PATH"), "a new file for the blocks (default: none)");
    // clang-format on
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, options), given);
    po::notify(given);
    if (out.blksize == 0 || out.blksize > blksize_max || out.windowsize == 0 || out.blocks == 0) {
        throw std::invalid_argument("blocks are 1 to 65464 octets, and there is at least one");
    }
    if (out.pairs > 1 && !out.from.empty()) {
        throw std::invalid_argument("several pairs send the same octets each time");
    }
    if (out.pairs == 0 || (out.pairs > 1 && out.windowsize > 1) || out.blocks < out.pairs) {
        throw std::invalid_argument("several pairs have windows of 1, and a block each at least");
    }
    return out;
}

void stay_on(int cpu) {
    if (cpu < 0) {
        return;
    }
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(std::size_t(cpu), &cpus);
    if (::sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
        fail("sched_setaffinity");
    }
}

/// Two sockets on loopback, connected to each other.
[[nodiscard]] std::pair<unique_fd, unique_fd> connected_pair() {
    std::array<unique_fd, 2> fds;
    std::array<sockaddr_in, 2> addresses{};
    for (std::size_t i = 0; i < 2; ++i) {
        fds[i] = unique_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        addresses[i].sin_family = AF_INET;
        addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* address = reinterpret_cast<sockaddr*>(&addresses[i]);
        socklen_t size = sizeof addresses[i];
        const timeval limit{silence_max_seconds, 0};
        if (!fds[i] || ::bind(fds[i].get(), address, size) != 0 ||
            ::getsockname(fds[i].get(), address, &size) != 0 ||
            ::setsockopt(fds[i].get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
            fail("socket");
        }
    }
    for (std::size_t i = 0; i < 2; ++i) {
        const auto* other = reinterpret_cast<const sockaddr*>(&addresses[1 - i]);
        if (::connect(fds[i].get(), other, sizeof addresses[1 - i]) != 0) {
            fail("connect");
        }
    }
    return {std::move(fds[0]), std::move(fds[1])};
}

/// What the sender sends: the same bytes each time, which the CPU's cache keeps, or the blocks of
/// a file in turn, from where the page cache has them.
class outgoing {
public:
    /// Throws std::exception.
    explicit outgoing(const plan& how)
        : datagram_(how.blksize + header_size),
          run_max_(std::min(how.windowsize, segments_of(datagram_))),
          octets_(how.from.empty() ? run_max_ * datagram_ : header_size),
          parts_(how.from.empty() ? 0 : 2 * run_max_) {
        if (!how.from.empty()) {
            map(how.from);
        }
    }

    outgoing(const outgoing&) = delete;
    outgoing& operator=(const outgoing&) = delete;

    ~outgoing() {
        if (file_ != nullptr) {
            ::munmap(file_, size_);
        }
    }

    /// Returns how many blocks one call takes at most.
    [[nodiscard]] std::uint64_t run_max() const noexcept { return run_max_; }

    /// Sends so many blocks by one call. Returns false with errno set.
    [[nodiscard]] bool send(int fd, std::uint64_t count) noexcept {
        if (file_ == nullptr) {
            return send_segmented(fd, bytes_view(octets_).first(count * datagram_), datagram_);
        }
        const std::size_t blksize = datagram_ - header_size;
        for (std::size_t i = 0; i < count; ++i) {
            // The last bytes, less than a block, are left out.
            at_ = at_ + blksize <= size_ ? at_ : 0;
            parts_[2 * i] = {octets_.data(), header_size};
            parts_[2 * i + 1] = {file_ + at_, blksize};
            at_ += blksize;
        }
        return send_segmented(fd, std::span(parts_).first(2 * count), datagram_);
    }

private:
    void map(const std::string& path) {
        const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat about = {};
        if (!fd || ::fstat(fd.get(), &about) != 0) {
            fail(path);
        }
        size_ = std::size_t(about.st_size);
        if (size_ < datagram_ - header_size) {
            throw std::invalid_argument("the file is smaller than a block");
        }
        void* at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
        if (at == MAP_FAILED) {
            fail("mmap");
        }
        file_ = static_cast<std::byte*>(at);
    }

    std::size_t datagram_;
    std::uint64_t run_max_;
    std::vector<std::byte> octets_;
    std::vector<iovec> parts_;
    std::byte* file_ = nullptr;
    std::size_t size_ = 0;
    std::size_t at_ = 0;
};

/// Sends windows, each by as few calls as there can be, and waits for one ACK after each.
void send_all(int fd, const plan& how, outgoing& blocks) {
    std::array<std::byte, header_size> ack{};
    for (std::uint64_t sent = 0; sent < how.blocks;) {
        const std::uint64_t window_end = std::min(how.blocks, sent + how.windowsize);
        while (sent < window_end) {
            const std::uint64_t run = std::min(blocks.run_max(), window_end - sent);
            if (!blocks.send(fd, run)) {
                fail("send");
            }
            sent += run;
        }
        if (::recv(fd, ack.data(), ack.size(), 0) < 0) {
            fail("receive an ACK");
        }
    }
}

/// A new file, written in pieces that file systems like.
class output {
public:
    /// path: empty for no file. size: bytes that will come. Throws std::system_error, as all of it
    /// does.
    output(const std::string& path, std::uint64_t size) {
        if (path.empty()) {
            return;
        }
        file_ = unique_fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file_) {
            fail(path);
        }
        // Cheaper than large writes into room that is not reserved; a file system need not know it.
        static_cast<void>(::fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, 0, ::off_t(size)));
        piece_.reserve(piece_octets);
    }

    /// datagram: a header and a block.
    void add(bytes_view datagram) {
        if (!file_) {
            return;
        }
        bytes_view block = datagram.subspan(header_size);
        while (!block.empty()) {
            const bytes_view part =
                block.first(std::min(block.size(), piece_octets - piece_.size()));
            piece_.insert(piece_.end(), part.begin(), part.end());
            block = block.subspan(part.size());
            if (piece_.size() == piece_octets) {
                finish();
            }
        }
    }

    /// Writes what is left.
    void finish() {
        if (file_ && ::write(file_.get(), piece_.data(), piece_.size()) != ssize_t(piece_.size())) {
            fail("write");
        }
        piece_.clear();
    }

private:
    static constexpr std::size_t piece_octets = std::size_t{256} << 10;

    unique_fd file_;
    std::vector<std::byte> piece_;
};

/// Receives blocks and sends an ACK for each window.
void receive_all(int fd, const plan& how) {
    receive_ring ring;
    output file(how.into, how.blocks * how.blksize);
    std::uint64_t received = 0;
    std::uint64_t acknowledged = 0;
    while (received < how.blocks) {
        if (how.windowsize == 1) {
            const bytes_span buffer = ring.single();
            const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (size < ssize_t(header_size)) {
                fail("receive");
            }
            file.add(bytes_view(buffer).first(std::size_t(size)));
            ++received;
        } else {
            const int messages = ring.receive(fd, MSG_WAITFORONE);
            if (messages < 0) {
                fail("receive");
            }
            for (int i = 0; i < messages; ++i) {
                ring.split(i, [&](bytes_view datagram) {
                    file.add(datagram);
                    ++received;
                    return true;
                });
            }
        }
        if (received == how.blocks || received - acknowledged == how.windowsize) {
            acknowledged = received;
            const auto ack = encode_ack(std::uint16_t(received));
            if (::send(fd, ack.data(), ack.size(), 0) < 0) {
                fail("send an ACK");
            }
        }
    }
    file.finish();
}

/// Both ends of many sockets.
struct crowd {
    std::vector<unique_fd> senders;
    std::vector<unique_fd> receivers;
};

[[nodiscard]] crowd connected_pairs(std::size_t count) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    crowd out;
    for (std::size_t i = 0; i < count; ++i) {
        auto [sender, receiver] = connected_pair();
        out.senders.push_back(std::move(sender));
        out.receivers.push_back(std::move(receiver));
    }
    return out;
}

/// Waits for all of `fds` by epoll and calls take(fd) for each that can be read, until it returns
/// false.
template <typename Take>
void serve_crowd(const std::vector<unique_fd>& fds, Take&& take) {
    const unique_fd set(::epoll_create1(EPOLL_CLOEXEC));
    for (const unique_fd& fd : fds) {
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        wanted.data.fd = fd.get();
        if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, fd.get(), &wanted) != 0) {
            fail("epoll_ctl");
        }
    }
    std::array<epoll_event, 256> ready{};
    for (;;) {
        const int count =
            ::epoll_wait(set.get(), ready.data(), int(ready.size()), 1000 * silence_max_seconds);
        if (count <= 0) {
            fail("wait");
        }
        for (int i = 0; i < count; ++i) {
            if (!take(ready[std::size_t(i)].data.fd)) {
                return;
            }
        }
    }
}

/// One block to each, and the next to whoever acknowledges.
void send_to_crowd(const std::vector<unique_fd>& fds, const plan& how) {
    const std::vector<std::byte> block(how.blksize + header_size);
    std::uint64_t sent = 0;
    const auto send_block = [&](int fd) {
        if (::send(fd, block.data(), block.size(), 0) < 0) {
            fail("send");
        }
        ++sent;
    };
    for (const unique_fd& fd : fds) {
        send_block(fd.get());
    }
    std::uint64_t acknowledged = 0;
    serve_crowd(fds, [&](int fd) {
        std::array<std::byte, header_size> ack{};
        if (::recv(fd, ack.data(), ack.size(), 0) < 0) {
            fail("receive an ACK");
        }
        if (sent < how.blocks) {
            send_block(fd);
        }
        return ++acknowledged < how.blocks;
    });
}

void receive_in_crowd(const std::vector<unique_fd>& fds, const plan& how) {
    std::vector<std::byte> block(how.blksize + header_size);
    std::uint64_t received = 0;
    serve_crowd(fds, [&](int fd) {
        if (::recv(fd, block.data(), block.size(), 0) < 0) {
            fail("receive");
        }
        const auto ack = encode_ack(std::uint16_t(++received));
        if (::send(fd, ack.data(), ack.size(), 0) < 0) {
            fail("send an ACK");
        }
        return received < how.blocks;
    });
}

/// The receiver as a process of its own; ends the process. The CPU time goes through `report`.
[[noreturn]] void run_receiver(const std::vector<unique_fd>& fds, int report, const plan& how) {
    // It must not outlive a sender that fails.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
        stay_on(how.receiver_cpu);
        const auto before = cpu_time();
        if (how.pairs > 1) {
            receive_in_crowd(fds, how);
        } else {
            receive_all(fds.front().get(), how);
        }
        const microseconds used = cpu_time() - before;
        ::_exit(::write(report, &used, sizeof used) == sizeof used ? 0 : 1);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_limit: receiver: {}\n", error.what());
        ::_exit(1);
    }
}

int run(int argc, char** argv) {
    const plan how = parse(argc, argv);
    const crowd ends = connected_pairs(how.pairs);
    if (how.windowsize > 1) {
        const int receiver = ends.receivers.front().get();
        enable_coalescing(receiver);
        size_buffers(ends.senders.front().get(), 2 * how.windowsize, how.blksize + header_size);
        size_buffers(receiver, 2 * how.windowsize, how.blksize + header_size);
    }
    std::array<int, 2> report{};
    if (::pipe(report.data()) != 0) {
        fail("pipe");
    }
    const pid_t child = ::fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        run_receiver(ends.receivers, report[1], how);
    }
    ::close(report[1]);
    stay_on(how.sender_cpu);
    outgoing source(how);
    const auto before = cpu_time();
    const auto begun = clock::now();
    if (how.pairs > 1) {
        send_to_crowd(ends.senders, how);
    } else {
        send_all(ends.senders.front().get(), how, source);
    }
    const std::chrono::duration<double> wall = clock::now() - begun;
    const microseconds own = cpu_time() - before;
    microseconds other{};
    int status = 0;
    if (::read(report[0], &other, sizeof other) != sizeof other ||
        ::waitpid(child, &status, 0) != child || status != 0) {
        throw std::runtime_error("the receiver failed");
    }
    const auto blocks = double(how.blocks);
    fmt::print(
        R"({{"blocks": {}, "wall_s": {:.6f}, "blocks_per_s": {:.1f}, "mib_per_s": {:.2f}, )"
        R"("sender_us_per_block": {:.4f}, "receiver_us_per_block": {:.4f}}})"
        "\n",
        how.blocks,
        wall.count(),
        blocks / wall.count(),
        blocks * double(how.blksize) / wall.count() / 1024 / 1024,
        double(own.count()) / blocks,
        double(other.count()) / blocks
    );
    return 0;
}

} // namespace
} // namespace tftp::bench

/// Exit status: 0, or 2 when anything failed.
int main(int argc, char** argv) {
    try {
        return tftp::bench::run(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_limit: {}\n", error.what());
        return 2;
    }
}
