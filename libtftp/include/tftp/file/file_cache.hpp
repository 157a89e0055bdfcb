#pragma once

#include <tftp/file/file_table.hpp>
#include <tftp/file/opened_file.hpp>
#include <tftp/file/read_ahead.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tftp {

/// What one thread keeps of the files it serves: shared descriptors, chunks read ahead, and for a
/// while the files whose last transfer is over, as the next machine of a rack asks for the same.
///
/// Not thread-safe.
class file_cache {
public:
    /// Files kept at most; those of other machines are not.
    static constexpr std::size_t kept_max = 32;
    /// A file that was changed so shortly before it was opened is not kept: its next change may
    /// leave the same time stamp.
    static constexpr auto settled_after = std::chrono::seconds(2);

    /// Returns the file to use in place of `file`: see `file_table::share`. Keeps it, with the name
    /// it was asked for by, if that is given.
    [[nodiscard]] std::shared_ptr<const opened_file>
    share(std::shared_ptr<const opened_file> file, std::string_view name = {}) noexcept;

    /// Returns the kept file that was last asked for by `name`; null when there is none. The name
    /// may lead to another file by now.
    [[nodiscard]] std::shared_ptr<const opened_file> find(std::string_view name) const noexcept;

    /// A transfer gives `file` up, which it still holds.
    void leave(const std::shared_ptr<const opened_file>& file) noexcept;

    /// Gives up the kept files that no transfer has used since the last call: `gone` takes each as
    /// `std::shared_ptr<const opened_file>`, and may be the last to hold it.
    template <class Function>
    void age(Function&& gone) {
        drop_if(
            [](kept& each) {
                // One that is in use now is used since this call.
                const bool used_before = std::exchange(each.used, !idle(each));
                return !used_before && !each.used;
            },
            std::forward<Function>(gone)
        );
    }

    /// Gives up all kept files that no transfer uses, as age() does.
    template <class Function>
    void clear(Function&& gone) {
        drop_if([](kept& each) { return idle(each); }, std::forward<Function>(gone));
    }

    /// Returns how many files are kept.
    [[nodiscard]] std::size_t size() const noexcept { return kept_.size(); }

    // Sources drop their chunks when they end, so the chunks are destroyed last.
    read_ahead chunks;
    file_table files;

private:
    struct kept {
        std::shared_ptr<const opened_file> file;
        std::string name;
        bool used = true;
    };

    [[nodiscard]] static bool idle(const kept& each) noexcept { return each.file.use_count() == 1; }

    void keep(const std::shared_ptr<const opened_file>& file, std::string_view name);

    template <class Predicate, class Function>
    void drop_if(Predicate unwanted, Function&& gone) {
        std::erase_if(kept_, [&](kept& each) {
            if (!unwanted(each)) {
                return false;
            }
            chunks.forget(*each.file);
            gone(std::move(each.file));
            return true;
        });
    }

    std::vector<kept> kept_;
};

} // namespace tftp
