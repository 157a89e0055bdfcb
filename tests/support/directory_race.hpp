#pragma once

#include "support/files.hpp"

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::test {

/// Local users at work in a directory that is served: while it runs, what the names below lead to
/// changes all the time between places inside and outside.
///
/// - `swapped` is a directory or a link to one outside;
/// - `deep/inner` is there or has been moved outside, and `winding` leads to the file of the root
/// by
///   its parent, as does `winding-root` to the root itself;
/// - `flipped` is a file or a link to one outside;
/// - `absolute` leads by the real path to the file in `swapped`, `absolute-inner` to `deep/inner`,
///   and both go by ".." through directories that come and go;
/// - `turned` is an absolute link to a file inside or to one outside, and `hop` one to a directory
///   outside that is a link to the root or to the directory with the other files.
///
/// Every file inside holds "inside", every one outside "outside", and both have the same names.
class directory_race {
public:
    /// Names that are asked for while it runs.
    static constexpr const char* files[] = {
        "swapped/file",
        "deep/inner/file",
        "deep/inner/../../file",
        "winding",
        "winding-root/file",
        "flipped",
        "file",
        "absolute",
        "absolute-inner/file",
        "absolute-inner/../../file",
        "turned",
        "hop/file"};
    /// Directories that are written to while it runs.
    static constexpr const char* directories[] = {
        "swapped", "deep/inner", "winding-root", "absolute-inner", "hop"};

    /// root: of the server. outside: an empty directory of the same file system.
    directory_race(const std::filesystem::path& root, const std::filesystem::path& outside)
        : root_(root), outside_(outside) {
        namespace fs = std::filesystem;
        for (const char* name : {"swapped", "deep", "deep/inner"}) {
            make_directory(root / name);
        }
        for (const char* name : {"trap", "parking"}) {
            make_directory(outside / name);
        }
        for (const char* name : {"file", "flipped", "swapped/file", "deep/inner/file"}) {
            write_file(root / name, "inside");
        }
        for (const char* name : {"file", "trap/file", "parking/file"}) {
            write_file(outside / name, "outside");
        }
        const fs::path out = fs::relative(outside, root);
        fs::create_directory_symlink(out / "trap", root / "trap-link");
        fs::create_symlink(out / "file", root / "file-link");
        fs::create_symlink("deep/inner/../../file", root / "winding");
        fs::create_directory_symlink("deep/inner/../..", root / "winding-root");
        fs::create_symlink(root / "deep/inner/../../swapped/file", root / "absolute");
        fs::create_directory_symlink(
            root / "swapped/../deep/inner/../inner", root / "absolute-inner"
        );
        fs::create_symlink(root / "file", root / "turned");
        fs::create_symlink(outside / "file", root / "turned-link");
        fs::create_directory_symlink(root, outside / "hop-in");
        fs::create_directory_symlink(outside / "trap", outside / "hop-out");
        fs::create_directory_symlink(outside / "hop-in", root / "hop");
        threads_.emplace_back([this] { exchange(root_ / "swapped", root_ / "trap-link"); });
        threads_.emplace_back([this] { exchange(root_ / "flipped", root_ / "file-link"); });
        threads_.emplace_back([this] { exchange(root_ / "turned", root_ / "turned-link"); });
        threads_.emplace_back([this] { exchange(outside_ / "hop-in", outside_ / "hop-out"); });
        threads_.emplace_back([this] { move_in_and_out(); });
    }

    ~directory_race() { stop(); }

    directory_race(const directory_race&) = delete;
    directory_race& operator=(const directory_race&) = delete;

    /// Ends the changes.
    void stop() {
        stop_ = true;
        for (std::thread& each : threads_) {
            each.join();
        }
        threads_.clear();
    }

    /// Returns the files outside that are not as they were, once stopped: written, or made. What
    /// was written to a directory that has been moved outside is not one of them.
    [[nodiscard]] std::vector<std::string> written_outside() const {
        namespace fs = std::filesystem;
        std::vector<std::string> found;
        std::size_t seen = 0;
        for (auto at = fs::recursive_directory_iterator(outside_);
             at != fs::recursive_directory_iterator();
             ++at) {
            if (at->path().filename() == "inner") {
                at.disable_recursion_pending();
            } else if (at->path().filename().native().starts_with("hop-")) {
                continue;
            } else if (at->is_regular_file() || at->is_symlink()) {
                ++seen;
                if (at->path().filename() != "file" || !holds(at->path(), "outside")) {
                    found.push_back(at->path());
                }
            }
        }
        if (seen < 3) {
            found.emplace_back("a file that has gone");
        }
        return found;
    }

private:
    static void make_directory(const std::filesystem::path& path) {
        std::filesystem::create_directory(path);
        std::filesystem::permissions(path, std::filesystem::perms::all);
    }

    void exchange(const std::filesystem::path& one, const std::filesystem::path& other) {
        while (!stop_) {
            ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
        }
    }

    void move_in_and_out() {
        const std::filesystem::path in = root_ / "deep" / "inner";
        const std::filesystem::path out = outside_ / "parking" / "inner";
        while (!stop_) {
            ::rename(in.c_str(), out.c_str());
            ::rename(out.c_str(), in.c_str());
        }
    }

    std::filesystem::path root_;
    std::filesystem::path outside_;
    std::atomic<bool> stop_ = false;
    std::vector<std::thread> threads_;
};

} // namespace tftp::test
