#include "file/path_walk.hpp"

#include "base/iovec.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp {

namespace {

/// As the kernel's own bound on links in one path.
constexpr int links_max = 40;

/// Opens nothing and waits for nobody: a place to go on from.
constexpr int as_place = O_PATH | O_NOFOLLOW | O_CLOEXEC;

[[nodiscard]] bool is_same_file(int one, int other) noexcept {
    struct ::stat a = {};
    struct ::stat b = {};
    return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/// Returns the first component of `path`, which begins with none, and takes it off.
[[nodiscard]] std::string take_component(std::string& path) {
    std::string name = path.substr(0, path.find('/'));
    path.erase(0, name.size());
    return name;
}

/// Puts the text of a link in front of what follows it.
void put_in_front(std::string_view text, std::string& path) {
    std::string whole(text);
    if (!path.empty()) {
        whole += '/';
        whole += path;
    }
    path = std::move(whole);
}

[[nodiscard]] bool is_not_found(const error_code& failed) noexcept {
    return failed == system_error_code(ENOENT) || failed == system_error_code(ENOTDIR);
}

} // namespace

result<unique_fd> path_walk::open(const char* path, int flags) {
    if (const error_code failed = resolve(path, flags)) {
        return reason_of(failed);
    }
    if (!target_) {
        // The last component led back to a directory that is open already.
        target_.reset(::openat(here(), ".", flags | O_CLOEXEC));
        if (!target_) {
            return last_error();
        }
    }
    return std::move(target_);
}

error_code path_walk::resolve(const char* path, int flags) {
    pending_ = path;
    asked_ = pending_.size();
    while (skip_separators(), !pending_.empty()) {
        in_link_ = pending_.size() > asked_;
        const std::string name = take_component(pending_);
        const bool slash = !pending_.empty();
        skip_separators();
        asked_ = std::min(asked_, pending_.size());
        wants_directory_ = wants_directory_ || (slash && pending_.empty());
        if (const error_code failed = step(name, flags)) {
            return failed;
        }
    }
    return {};
}

/// Enters one component: a directory, or the target when nothing is pending.
error_code path_walk::step(const std::string& name, int flags) {
    if (name == ".") {
        return {};
    }
    if (name == "..") {
        return leave();
    }
    const bool last = pending_.empty();
    const int at_end = flags | (wants_directory_ ? O_DIRECTORY : 0);
    return open_component(name, last ? at_end : O_PATH | O_DIRECTORY);
}

error_code path_walk::open_component(const std::string& name, int how) {
    unique_fd next(::openat(here(), name.c_str(), how | O_NOFOLLOW | O_CLOEXEC));
    if (!next) {
        const int why = errno;
        // A link in the way: ELOOP, or ENOTDIR where a directory was asked for.
        return why == ELOOP || why == ENOTDIR ? follow(name, why) : system_error_code(why);
    }
    if ((how & O_DIRECTORY) == 0 && (how & O_PATH) != 0) {
        // As a place a link opens, too.
        struct ::stat about = {};
        if (::fstat(next.get(), &about) == 0 && S_ISLNK(about.st_mode)) {
            return follow(name, ELOOP);
        }
    }
    if (pending_.empty()) {
        target_ = std::move(next);
    } else {
        current_ = std::move(next);
        entered_ += name;
        entered_ += '/';
    }
    return {};
}

error_code path_walk::read_link(int directory, const char* name) {
    std::array<char, PATH_MAX> text{};
    const ::ssize_t size = ::readlinkat(directory, name, text.data(), text.size());
    if (size < 0) {
        return last_error();
    }
    link_text_.assign(text.data(), static_cast<std::size_t>(size));
    return {};
}

/// Puts the target of a link in the place of its name. why: errno when it is no link.
error_code path_walk::follow(const std::string& name, int why) {
    return read_link(here(), name.c_str()) ? system_error_code(why) : follow_text();
}

error_code path_walk::follow_text() {
    if (options_.links == symlinks::no) {
        return errc::link_refused;
    }
    if (++links_ > links_max) {
        return errc::link_loop;
    }
    if (link_text_.size() + pending_.size() + 1 >= PATH_MAX) {
        return system_error_code(ENAMETOOLONG);
    }
    in_absolute_ = link_text_.starts_with('/');
    assumed_ = false;
    if (in_absolute_) {
        return follow_absolute(link_text_);
    }
    put_in_front(link_text_, pending_);
    return {};
}

error_code path_walk::follow_absolute(std::string_view text) {
    if (options_.links != symlinks::chroot && absolute_ == reading::spelled) {
        unique_fd top(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!top) {
            return last_error();
        }
        const error_code outside = come_in(std::move(top), std::string(text));
        if (outside != errc::link_leaves) {
            return outside;
        }
    }
    assumed_ = options_.links != symlinks::chroot;
    enter(root_, text);
    return {};
}

/// Goes to the parent by entering everything above again from the base.
error_code path_walk::leave() {
    if (entered_.empty()) {
        return climb_out();
    }
    entered_.pop_back();
    entered_.erase(entered_.rfind('/') + 1);
    current_.reset();
    std::size_t begin = 0;
    while (begin < entered_.size()) {
        const std::size_t end = entered_.find('/', begin);
        const std::string name = entered_.substr(begin, end - begin);
        unique_fd next(::openat(here(), name.c_str(), O_DIRECTORY | as_place));
        if (!next) {
            return last_error();
        }
        current_ = std::move(next);
        begin = end + 1;
    }
    return {};
}

/// ".." of the root or of a target: a link may come back, a request may not leave.
error_code path_walk::climb_out() {
    if (!in_link_) {
        return errc::bad_name;
    }
    if (options_.links == symlinks::chroot) {
        return {};
    }
    if (absolute_ == reading::spelled) {
        unique_fd above(::openat(base_, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!above) {
            return last_error();
        }
        std::string text = pending_.substr(0, pending_.size() - asked_);
        pending_.erase(0, text.size());
        const error_code outside = come_in(std::move(above), std::move(text));
        if (outside != errc::link_leaves) {
            return outside;
        }
    }
    return in_absolute_ ? errc::absolute_link : errc::link_leaves;
}

/// Walks `text` from a directory outside until it is inside, and makes what is left pending.
///
/// Errors: `errc::link_leaves` when it does not come inside.
error_code path_walk::come_in(unique_fd from, std::string text) {
    unique_fd at = std::move(from);
    for (;;) {
        if (const int base = tree_of(at.get()); base >= 0) {
            enter(base, text);
            came_in_ = true;
            return {};
        }
        text.erase(0, text.find_first_not_of('/'));
        if (text.empty()) {
            return errc::link_leaves;
        }
        const std::string name = take_component(text);
        unique_fd next(::openat(at.get(), name.c_str(), as_place));
        struct ::stat about = {};
        if (!next || ::fstat(next.get(), &about) != 0) {
            const error_code failed = last_error();
            return is_shortage(failed) ? failed : make_error_code(errc::link_leaves);
        }
        if (S_ISDIR(about.st_mode)) {
            at = std::move(next);
            continue;
        }
        if (!S_ISLNK(about.st_mode) || read_link(next.get(), "")) {
            return errc::link_leaves;
        }
        if (++links_ > links_max) {
            return errc::link_loop;
        }
        if (link_text_.size() + text.size() + 1 >= PATH_MAX) {
            return system_error_code(ENAMETOOLONG);
        }
        if (link_text_.starts_with('/')) {
            at.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
            if (!at) {
                return last_error();
            }
        }
        put_in_front(link_text_, text);
    }
}

/// Returns the root or the target that `directory` is; -1 when it is none of them.
int path_walk::tree_of(int directory) const noexcept {
    if (is_same_file(directory, root_)) {
        return root_;
    }
    if (options_.links == symlinks::follow) {
        for (const unique_fd& target : options_.targets) {
            if (is_same_file(directory, target.get())) {
                return target.get();
            }
        }
    }
    return -1;
}

/// Goes on at the top of a tree, by what is left of a link and then by what is pending.
void path_walk::enter(int base, std::string_view text) {
    base_ = base;
    current_.reset();
    entered_.clear();
    put_in_front(text, pending_);
}

/// Tells an absolute link that leads nowhere from a file that is missing.
error_code path_walk::reason_of(const error_code& failed) const noexcept {
    const bool nowhere = is_not_found(failed) || failed == errc::link_loop;
    return nowhere && in_link_ && assumed_ ? make_error_code(errc::absolute_link) : failed;
}

} // namespace tftp
