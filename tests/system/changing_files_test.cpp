#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"
#include "system/fetch.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

/// Larger than what is read ahead of a client in lockstep.
constexpr std::size_t file_octets = 200'000;
/// Where in a transfer the file changes.
constexpr std::size_t change_octets = 20'000;

fetched
fetch_while(const tftp::endpoint& server, const way& how, const std::function<void()>& change) {
    return fetch_by(server, "file", how, {change_octets, change});
}

/// A client that has asked for "file" and never acknowledges anything.
class unfinished_fetch {
public:
    explicit unfinished_fetch(const tftp::endpoint& server) {
        REQUIRE(opcode_of(ask(client_, server, rrq("file"))) == 3);
    }

private:
    udp_client client_;
};

void write_in_place(const fs::path& file, std::string_view content) {
    std::ofstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    REQUIRE(out.flush());
}

} // namespace

TEST_CASE("a file that changes while it is served", "[system][tftpd][files]") {
    // Small reads come from memory of the server, large ones from where the file stands, once it
    // was read.
    const auto how =
        GENERATE(way{512, 1}, way{512, 16}, way{1428, 16}, way{16'384, 1}, way{512, 64});
    const bool warm = GENERATE(false, true);
    INFO(how << (warm ? ", read before" : ""));
    // In one thread, whose transfers share what they know of a file.
    daemon_process daemon({"--threads", "1"});
    const fs::path file = daemon.root() / "file";
    const std::string old = make_content(file_octets, 1);
    const std::string other = make_content(file_octets + 777, 2);
    write_file(file, old);
    // A file that was just written is kept open only while somebody fetches it.
    const unfinished_fetch holder(daemon.server());
    if (warm) {
        const fetched got = fetch_while(daemon.server(), how, [] {});
        REQUIRE((got.content == old));
    }
    const auto fetch_changed = [&](const std::function<void()>& change) {
        const fetched got = fetch_while(daemon.server(), how, change);
        CHECK(got.tsize == old.size());
        CHECK(daemon.serves());
        return got;
    };

    // Small windows then come from the server's own memory, as the file was before.
    const bool read_ahead = warm && how.blksize * how.window < 16'384;

    SECTION("truncated to nothing: an ERROR ends what is true so far") {
        const fetched got = fetch_changed([&] { fs::resize_file(file, 0); });
        if (read_ahead) {
            CHECK(!got.error);
            CHECK((got.content == old));
            return;
        }
        CHECK(got.error == 0);
        CHECK(got.content.size() >= change_octets);
        CHECK(old.starts_with(got.content));
        CHECK(got.content.size() < old.size());
    }
    SECTION("truncated within a block: no octet behind the end is invented") {
        const fetched got = fetch_changed([&] { fs::resize_file(file, 150'001); });
        if (read_ahead) {
            CHECK(!got.error);
            CHECK((got.content == old));
            return;
        }
        CHECK(got.error == 0);
        CHECK(old.starts_with(got.content));
        CHECK(got.content.size() <= 150'001);
    }
    // Whether an octet that is sent later is of the content that was announced cannot be told.
    const auto check_ended = [&](const fetched& got) {
        if (read_ahead) {
            CHECK(!got.error);
            CHECK((got.content == old));
            return;
        }
        CHECK(got.error == 0);
        CHECK(old.starts_with(got.content));
        CHECK(got.content.size() >= change_octets);
        CHECK(got.content.size() < old.size());
    };
    SECTION("grown: an ERROR ends what is true so far") {
        check_ended(fetch_changed([&] {
            std::ofstream(file, std::ios::app | std::ios::binary) << std::string(100'000, 'x');
        }));
        CHECK((fetch(daemon.server(), "file") == old + std::string(100'000, 'x')));
    }
    SECTION("replaced: what was opened is sent, and the new file to the next client") {
        write_file(daemon.root() / "new", other);
        const fetched got = fetch_changed([&] { fs::rename(daemon.root() / "new", file); });
        CHECK(!got.error);
        CHECK((got.content == old));
        CHECK((fetch(daemon.server(), "file") == other));
    }
    SECTION("deleted: what was opened is sent, and ERROR 1 to the next client") {
        const fetched got = fetch_changed([&] { fs::remove(file); });
        CHECK(!got.error);
        CHECK((got.content == old));
        udp_client client;
        CHECK(error_code_of(ask(client, daemon.server(), rrq("file"))) == 1);
    }
    SECTION("made unreadable: what was opened is sent") {
        const fetched got = fetch_changed([&] { fs::permissions(file, fs::perms::none); });
        CHECK(!got.error);
        CHECK((got.content == old));
    }
    SECTION("renamed and linked: what was opened is sent") {
        const fetched got = fetch_changed([&] {
            fs::rename(file, daemon.root() / "elsewhere");
            fs::create_hard_link(daemon.root() / "elsewhere", daemon.root() / "other");
        });
        CHECK(!got.error);
        CHECK((got.content == old));
    }
    SECTION("written in place: an ERROR ends what is true so far") {
        check_ended(fetch_changed([&] { write_in_place(file, other.substr(0, old.size())); }));
        CHECK((fetch(daemon.server(), "file") == other.substr(0, old.size())));
    }
    SECTION("truncated and written anew: an ERROR ends what is true so far") {
        check_ended(fetch_changed([&] {
            fs::resize_file(file, 0);
            write_in_place(file, other);
        }));
        CHECK((fetch(daemon.server(), "file") == other));
    }
    SECTION("truncated and written anew as it was: an ERROR ends what is true so far") {
        check_ended(fetch_changed([&] {
            fs::resize_file(file, 0);
            write_in_place(file, old);
        }));
    }
}

TEST_CASE("a file that is fetched again and again is right each time", "[system][tftpd][files]") {
    const auto how = GENERATE(way{1428, 16}, way{65'464, 1}, way{65'464, 2}, way{512, 64});
    INFO(how);
    daemon_process daemon({"--threads", "1", "--blksize-max", "65464"});
    const fs::path file = daemon.root() / "file";
    const std::string old = make_content(1'000'000, 1);
    const std::string other = make_content(1'000'777, 2);
    write_file(file, old);
    const unfinished_fetch holder(daemon.server());
    const auto unchanged = [] {};
    for (int i = 0; i < 3; ++i) {
        CHECK((fetch_while(daemon.server(), how, unchanged).content == old));
    }
    write_file(daemon.root() / "new", other);
    fs::rename(daemon.root() / "new", file);
    const unfinished_fetch other_holder(daemon.server());
    for (int i = 0; i < 3; ++i) {
        CHECK((fetch_while(daemon.server(), how, unchanged).content == other));
    }
    const fetched cut =
        fetch_while(daemon.server(), how, [&] { fs::resize_file(file, other.size() - 1); });
    CHECK(cut.error == 0);
    CHECK(other.starts_with(cut.content));
    CHECK(cut.content.size() >= change_octets);
    CHECK(cut.content.size() < other.size());
    CHECK(daemon.serves());
}

TEST_CASE("a file that never holds still", "[system][tftpd][files]") {
    daemon_process daemon;
    const fs::path file = daemon.root() / "file";
    // Whatever its length, an octet depends on its place alone.
    const std::string content = make_content(file_octets, 3);
    write_file(file, content);
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0;
    std::atomic<int> fetches = 0;
    std::thread changer([&] {
        for (std::size_t round = 1; !stop; ++round) {
            if (round % 16 == 0) {
                ::unlink(file.c_str());
            }
            const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            // Never made longer by this: the hole would hold other bytes.
            const auto kept = std::min(
                static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), round * 7919 % file_octets
            );
            failures += ::ftruncate(fd, static_cast<::off_t>(kept)) == 0 ? 0 : 1;
            // Short until the transfer at hand has seen it: when a file is made longer at once, the
            // system itself may read zeros at places that were cut off and written anew.
            const int seen = fetches;
            while (fetches == seen && !stop) {
                std::this_thread::yield();
            }
            const auto left = static_cast<::ssize_t>(file_octets - kept);
            failures += ::pwrite(
                            fd,
                            content.data() + kept,
                            static_cast<std::size_t>(left),
                            static_cast<::off_t>(kept)
                        ) == left
                            ? 0
                            : 1;
            ::close(fd);
        }
    });
    bool true_so_far = true;
    int whole = 0;
    int whole_as_announced = 0;
    int ended = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
        const way how = round % 3 == 0   ? way{512, 1}
                        : round % 3 == 1 ? way{512, 16}
                                         : way{1428, 16};
        const fetched got = fetch_while(daemon.server(), how, [] {});
        ++fetches;
        true_so_far = true_so_far && content.starts_with(got.content);
        if (got.error) {
            ++ended;
        } else {
            ++whole;
            whole_as_announced += got.content.size() == got.tsize ? 1 : 0;
        }
    }
    stop = true;
    changer.join();
    CHECK(failures == 0);
    CHECK(true_so_far);
    CHECK(whole == whole_as_announced);
    CHECK(whole + ended > 0);
    CHECK(daemon.serves());
}

namespace {

/// Takes the end of a file away and gives it back, over and over: so little that a copy of it may
/// take as long.
class restless_writer {
public:
    restless_writer(const fs::path& file, std::string content, std::chrono::microseconds rest)
        : content_(std::move(content)),
          rest_(rest),
          fd_(::open(file.c_str(), O_WRONLY | O_CLOEXEC)) {
        REQUIRE(fd_ >= 0);
        thread_ = std::thread([this] { work(); });
    }

    restless_writer(const restless_writer&) = delete;
    restless_writer& operator=(const restless_writer&) = delete;

    ~restless_writer() {
        stop_ = true;
        thread_.join();
        ::close(fd_);
    }

    [[nodiscard]] std::size_t rounds() const { return rounds_; }

private:
    void work() {
        while (!stop_) {
            const auto again = std::chrono::steady_clock::now() + rest_;
            const std::size_t kept = content_.size() - 1 - rounds_ * 7919 % 3000;
            if (::ftruncate(fd_, static_cast<::off_t>(kept)) != 0 ||
                ::pwrite(
                    fd_, content_.data() + kept, content_.size() - kept, static_cast<::off_t>(kept)
                ) < 0) {
                return;
            }
            ++rounds_;
            while (!stop_ && std::chrono::steady_clock::now() < again) {
                std::this_thread::yield();
            }
        }
    }

    std::string content_;
    std::chrono::microseconds rest_;
    int fd_;
    std::atomic<std::size_t> rounds_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

} // namespace

TEST_CASE("no transfer that ends well has a wrong octet", "[system][tftpd][files]") {
    const auto rest = GENERATE(std::chrono::microseconds(0), std::chrono::microseconds(2000));
    INFO("a change each " << rest.count() << " us");
    daemon_process daemon({"--threads", "1", "--blksize-max", "65464"});
    const fs::path file = daemon.root() / "file";
    const std::string content = make_content(65'000, 3);
    write_file(file, content);
    int wrong = 0;
    int whole = 0;
    int ended = 0;
    const restless_writer writer(file, content, rest);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(4);
    for (std::size_t round = 0; std::chrono::steady_clock::now() < end; ++round) {
        constexpr std::array ways{
            way{512, 1}, way{512, 64}, way{1428, 16}, way{16'384, 2}, way{65'464, 1}};
        const fetched got = fetch_by(daemon.server(), "file", ways.at(round % ways.size()));
        wrong += content.starts_with(got.content) ? 0 : 1;
        if (got.error) {
            CHECK(got.error == 0);
            ++ended;
        } else {
            // Opened between the two halves of a change it is a shorter file.
            wrong += got.content.size() == got.tsize ? 0 : 1;
            ++whole;
        }
    }
    CAPTURE(whole, ended, writer.rounds());
    CHECK(wrong == 0);
    CHECK(whole + ended > 0);
    CHECK(daemon.serves());
}

TEST_CASE("what a shared mapping changes is seen within seconds", "[system][tftpd][files]") {
    const auto how = GENERATE(way{512, 1}, way{1428, 16}, way{65'464, 1});
    INFO(how);
    daemon_process daemon({"--threads", "1", "--blksize-max", "65464"});
    const fs::path file = daemon.root() / "file";
    const std::string old = make_content(70'000, 1);
    const std::string other = make_content(70'000, 2);
    write_file(file, old);
    const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    void* const at = ::mmap(nullptr, old.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(at != MAP_FAILED);
    ::close(fd);
    // From here on, until the kernel writes them back, changes of these pages leave no time stamp.
    std::memcpy(at, old.data(), old.size());
    const unfinished_fetch holder(daemon.server());
    CHECK((fetch_by(daemon.server(), "file", how).content == old));
    std::memcpy(at, other.data(), other.size());
    const auto changed = std::chrono::steady_clock::now();
    std::string got = old;
    while (got != other) {
        const auto age = std::chrono::steady_clock::now() - changed;
        got = fetch_by(daemon.server(), "file", how).content;
        // One that began in time may take as long as it likes.
        REQUIRE((got == other || age < std::chrono::milliseconds(5500)));
    }
    ::munmap(at, old.size());
}
