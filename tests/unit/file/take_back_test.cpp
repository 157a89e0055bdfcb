#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_sink.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/// What happens between two system calls of an upload that takes its name back.
using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

/// Called once, before the next removal of a name.
std::function<void()> before_removal;

void call_once() {
    if (const auto act = std::exchange(before_removal, nullptr)) {
        act();
    }
}

} // namespace

/// Stand in for the C library's, for all that is linked into this program.
extern "C" int unlinkat(int directory, const char* name, int flags) noexcept {
    call_once();
    return static_cast<int>(::syscall(SYS_unlinkat, directory, name, flags));
}

extern "C" int renameat2(
    int from_directory, const char* from, int to_directory, const char* to, unsigned flags
) noexcept {
    call_once();
    return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags)
    );
}

TEST_CASE("an upload that cannot be flushed takes no other one with it", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("other", "other");
    const bool third = GENERATE(false, true);
    directory.write("third", "third");
    // The directory is the only thing opened without O_TMPFILE or O_PATH once the sink exists.
    CHECK(in_child([&] {
        auto sink = make_file_sink((directory / "f").c_str(), {});
        return sink && !write(*sink.value(), 0, "new") &&
               on_refusing_kernel({{SYS_openat, EIO}}, [&] {
                   before_removal = [&] {
                       ::rename((directory / "other").c_str(), (directory / "f").c_str());
                       if (third) {
                           before_removal = [&] {
                               ::rename((directory / "third").c_str(), (directory / "f").c_str());
                           };
                       }
                   };
                   return sink.value()->commit() == boost::system::errc::io_error;
               });
    }));
    // The other upload was acknowledged, and the last one has the name.
    CHECK(directory.content("f") == (third ? "third" : "other"));
    CHECK(directory.entries() == (third ? 1U : 2U));
}
