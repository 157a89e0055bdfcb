#pragma once

#include "file/beneath.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tftp {

/// Resolves one path beneath a directory, one component at a time.
///
/// No link is followed by the kernel, and ".." is never given to the kernel for a directory inside,
/// so a directory that is moved away meanwhile cannot lead out. An absolute target, or one that
/// climbs out, is walked outside by descriptors that open nothing (O_PATH), until a directory is
/// the root or a target itself: from there on it is resolved beneath that one. So what others
/// change outside decides at most which file inside is meant.
class path_walk {
public:
    /// How absolute targets of links are read under `symlinks::inside`.
    enum class reading : std::uint8_t {
        /// As the path that they spell; as one beneath the root when that does not lead inside.
        spelled,
        /// As a path beneath the root.
        beneath_root,
    };

    /// root, options: borrowed.
    path_walk(int root, const beneath_options& options, reading absolute) noexcept
        : root_(root), options_(options), absolute_(absolute), base_(root) {}

    /// As `open_beneath`. Throws std::bad_alloc. Once only.
    [[nodiscard]] result<unique_fd> open(const char* path, int flags);

    /// Returns true when a link led inside by the path that it spells.
    [[nodiscard]] bool came_in() const noexcept { return came_in_; }

private:
    [[nodiscard]] int here() const noexcept { return current_ ? current_.get() : base_; }

    void skip_separators() { pending_.erase(0, pending_.find_first_not_of('/')); }

    [[nodiscard]] error_code resolve(const char* path, int flags);
    [[nodiscard]] error_code step(const std::string& name, int flags);
    [[nodiscard]] error_code open_component(const std::string& name, int how);
    [[nodiscard]] error_code follow(const std::string& name, int why);
    [[nodiscard]] error_code follow_text();
    [[nodiscard]] error_code follow_absolute(std::string_view text);
    [[nodiscard]] error_code leave();
    [[nodiscard]] error_code climb_out();
    [[nodiscard]] error_code come_in(unique_fd from, std::string text);
    [[nodiscard]] error_code read_link(int directory, const char* name);
    [[nodiscard]] int tree_of(int directory) const noexcept;
    void enter(int base, std::string_view text);
    [[nodiscard]] error_code reason_of(const error_code& failed) const noexcept;

    int root_;
    const beneath_options& options_;
    reading absolute_;
    /// The root, or the target that a link led to.
    int base_;
    unique_fd current_;
    unique_fd target_;
    /// Names of the directories from the base to the current one, each with a slash behind it.
    std::string entered_;
    std::string pending_;
    /// Bytes at the end of `pending_` that the path itself spells; what is before comes from
    /// links.
    std::size_t asked_ = 0;
    /// The component under way comes from a link.
    bool in_link_ = false;
    /// The last link that was followed has an absolute target.
    bool in_absolute_ = false;
    /// That one is read as a path beneath the root.
    bool assumed_ = false;
    bool came_in_ = false;
    /// What is left ended in a slash, as the target of a link may.
    bool wants_directory_ = false;
    std::string link_text_;
    int links_ = 0;
};

} // namespace tftp
