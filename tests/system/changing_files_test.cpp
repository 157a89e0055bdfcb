#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/udp_client.hpp"
#include "system/daemon.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

/// Larger than what is read ahead of a client in lockstep.
constexpr std::size_t file_octets = 200'000;
/// Where in a transfer the file changes.
constexpr std::size_t change_octets = 20'000;

/// How a client asks.
struct way {
    std::size_t blksize;
    std::size_t window;

    friend std::ostream& operator<<(std::ostream& out, const way& w) {
        return out << "blksize " << w.blksize << ", window " << w.window;
    }
};

struct fetched {
    std::string content;
    /// 0 when it was not told, as of an empty file.
    std::uint64_t tsize = 0;
    std::optional<std::uint16_t> error;
};

/// Fetches "file", which may be missing or empty, and calls `change` once, when so many octets have
/// come.
fetched
fetch_while(const tftp::endpoint& server, const way& how, const std::function<void()>& change) {
    udp_client client;
    fetched result;
    arrived answer =
        ask(client,
            server,
            rrq("file",
                {{"blksize", std::to_string(how.blksize)},
                 {"tsize", "0"},
                 {"windowsize", std::to_string(how.window)}}));
    result.error = error_code_of(answer);
    if (result.error) {
        return result;
    }
    REQUIRE(opcode_of(answer) == 6);
    const std::string words = text(answer.octets);
    const std::size_t tsize = words.find("tsize");
    if (tsize != std::string::npos) {
        result.tsize = std::stoull(words.substr(tsize + std::strlen("tsize") + 1));
    }
    client.send(answer.from, ack(0));
    std::uint16_t expected = 1;
    std::uint16_t acknowledged = 0;
    bool changed = false;
    while (true) {
        const arrived message = next(client);
        result.error = error_code_of(message);
        if (result.error) {
            return result;
        }
        const tftp::bytes_view payload = tftp::bytes_view(message.octets).subspan(4);
        if (message.octets != data_of(expected, text(payload))) {
            // A repeated block: what has come is acknowledged again.
            client.send(answer.from, ack(static_cast<std::uint16_t>(expected - 1)));
            continue;
        }
        result.content += text(payload);
        if (!changed && result.content.size() >= change_octets) {
            changed = true;
            change();
        }
        const bool last = payload.size() < how.blksize;
        if (last || static_cast<std::size_t>(expected - acknowledged) == how.window) {
            client.send(answer.from, ack(expected));
            acknowledged = expected;
        }
        if (last) {
            return result;
        }
        ++expected;
    }
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

/// Returns whether each octet is that of one of the two contents at the same place.
bool is_mixture(std::string_view got, std::string_view one, std::string_view other) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        const bool first = i < one.size() && got[i] == one[i];
        const bool second = i < other.size() && got[i] == other[i];
        if (!first && !second) {
            return false;
        }
    }
    return true;
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
    SECTION("grown: what was announced is sent") {
        const fetched got = fetch_changed([&] {
            std::ofstream(file, std::ios::app | std::ios::binary) << std::string(100'000, 'x');
        });
        CHECK(!got.error);
        CHECK((got.content == old));
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
    SECTION("written in place: all of its length, from one content or the other") {
        const fetched got =
            fetch_changed([&] { write_in_place(file, other.substr(0, old.size())); });
        CHECK(!got.error);
        CHECK(got.content.size() == old.size());
        CHECK(is_mixture(got.content, old, other));
    }
    SECTION("truncated and written anew: cut at what was announced") {
        const fetched got = fetch_changed([&] {
            fs::resize_file(file, 0);
            write_in_place(file, other);
        });
        CHECK(!got.error);
        CHECK(got.content.size() == old.size());
        CHECK(is_mixture(got.content, old, other));
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
            // Never made longer by this: the hole would hold other octets.
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
