// Files past 4 GiB: sizes and positions no longer fit 32 bits, and at 65,464 bytes a block the
// number wraps once more. What is received goes through a pipe and is compared on the way, so that
// only uploads take room on the disk.
#include "interop/clients.hpp"
#include "interop/servers.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <span>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t four_gib = std::uint64_t{1} << 32;
constexpr std::uint64_t huge_size = four_gib + 5'000;
constexpr unsigned huge_blksize = 65'464;
/// A transfer costs some 12 s of CPU in all; the limit leaves room for a machine that is busy.
constexpr std::chrono::milliseconds transfer_limit = 180s;

/// Random bytes at a place in an otherwise empty file.
struct mark {
    std::uint64_t at;
    std::string octets;
};

/// Marks the start, the wrap of the block number, 4 GiB and the end; the rest is zero.
const std::vector<mark>& marks() {
    static const std::vector<mark> all{
        {0, make_content(100'000, 1)},
        {std::uint64_t{65'535} * huge_blksize - 1'000, make_content(2'000, 2)},
        {four_gib - 50'000, make_content(50'100, 3)},
        {huge_size - 4'000, make_content(4'000, 4)}};
    return all;
}

class descriptor {
public:
    explicit descriptor(int fd) : fd_{fd} {
        if (fd_ < 0) {
            throw std::system_error{errno, std::system_category(), "open"};
        }
    }

    ~descriptor() { close(); }

    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }

    void close() noexcept {
        if (fd_ >= 0) {
            ::close(fd_);
            fd_ = -1;
        }
    }

private:
    int fd_;
};

void make_huge(const std::filesystem::path& file) {
    const descriptor output{::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)};
    REQUIRE(::fchmod(output.get(), 0666) == 0);
    REQUIRE(::ftruncate(output.get(), static_cast<off_t>(huge_size)) == 0);
    for (const mark& one : marks()) {
        const ssize_t written = ::pwrite(
            output.get(), one.octets.data(), one.octets.size(), static_cast<off_t>(one.at)
        );
        REQUIRE(written == static_cast<ssize_t>(one.octets.size()));
    }
}

/// What the file holds at `at`.
void expected_at(std::uint64_t at, std::span<char> out) {
    std::ranges::fill(out, '\0');
    for (const mark& one : marks()) {
        const std::uint64_t begin = std::max(at, one.at);
        const std::uint64_t end = std::min(at + out.size(), one.at + one.octets.size());
        if (begin < end) {
            std::memcpy(
                out.data() + (begin - at), one.octets.data() + (begin - one.at), end - begin
            );
        }
    }
}

/// Reads to the end and returns how many bytes were as expected: huge_size when all is well.
/// Stops at the first difference, and when nothing comes for the time of a whole transfer.
std::uint64_t matching_octets(int fd) {
    static std::array<char, 1 << 20> got;
    static std::array<char, 1 << 20> expected;
    std::uint64_t at = 0;
    while (true) {
        pollfd waited{fd, POLLIN, 0};
        if (::poll(&waited, 1, static_cast<int>(transfer_limit.count())) <= 0) {
            return at;
        }
        const ssize_t count = ::read(fd, got.data(), got.size());
        if (count <= 0) {
            return at;
        }
        const std::size_t size = static_cast<std::size_t>(count);
        expected_at(at, std::span{expected.data(), size});
        if (std::memcmp(got.data(), expected.data(), size) != 0) {
            return at;
        }
        at += size;
    }
}

/// Runs a client that writes what it receives to its standard output, and checks it on the way.
void check_download(command line) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const descriptor reader{ends[0]};
    descriptor writer{ends[1]};
    ::fcntl(writer.get(), F_SETPIPE_SZ, 1 << 20);
    line.stdout_fd = writer.get();
    const auto start = std::chrono::steady_clock::now();
    child_process child{line};
    writer.close();
    INFO(to_string(line));
    CHECK(matching_octets(reader.get()) == huge_size);
    CHECK(child.wait(transfer_limit) == 0);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::cout << to_string(line) << ": " << taken.count() << " s\n";
}

} // namespace

TEST_CASE("our client reads past 4 GiB from our server", "[interop][huge]") {
    pin_to_this_cpu();
    const temp_dir root;
    make_huge(root.path() / "huge");
    const running_server server = start_tftpd(our_tftpd(), "127.0.0.1", root.path());
    check_download(our_tftp().with(
        {"get", server.address().text(), "huge", "--blksize", "65464", "--output", "-", "--quiet"}
    ));
}

TEST_CASE("our client writes past 4 GiB to our server", "[interop][huge]") {
    pin_to_this_cpu();
    const temp_dir root;
    const temp_dir local;
    need_space(root.path(), huge_size + four_gib / 4);
    make_huge(local.path() / "huge");
    const running_server server = start_tftpd(our_tftpd(), "127.0.0.1", root.path());
    const transfer what{
        direction::write, server.address(), "copy", local.path() / "huge", huge_blksize, {}, false};
    const command line = tftp_client(our_tftp())(what);
    const auto start = std::chrono::steady_clock::now();
    const run_result result = run(line, transfer_limit);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::cout << to_string(line) << ": " << taken.count() << " s\n";
    INFO(result.errors);
    CHECK(result.status == 0);
    const descriptor copy{::open((root.path() / "copy").c_str(), O_RDONLY | O_CLOEXEC)};
    CHECK(matching_octets(copy.get()) == huge_size);
}

TEST_CASE("curl reads past 4 GiB from our server", "[interop][huge]") {
    const program curl = require_peer("curl");
    pin_to_this_cpu();
    const temp_dir root;
    make_huge(root.path() / "huge");
    const running_server server = start_tftpd(our_tftpd(), "127.0.0.1", root.path());
    const transfer what{direction::read, server.address(), "huge", "-", huge_blksize, {}, false};
    check_download(curl_client(curl)(what));
}

// Of the servers only in.tftpd can: atftpd answers ERROR 0 from 4 GiB on, dnsmasq takes the size
// modulo 2^32, and fbtftp needs minutes.
TEST_CASE("our client reads past 4 GiB from in.tftpd", "[interop][huge]") {
    const program in_tftpd = require_peer("in.tftpd");
    pin_to_this_cpu();
    const temp_dir root;
    make_huge(root.path() / "huge");
    const running_server server = start_in_tftpd(in_tftpd, "127.0.0.1", root.path());
    check_download(our_tftp().with(
        {"get", server.address().text(), "huge", "--blksize", "65464", "--output", "-", "--quiet"}
    ));
}
