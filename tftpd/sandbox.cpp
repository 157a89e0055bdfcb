#include "sandbox.hpp"

#include <algorithm>

namespace tftpd {

confined confine(const confinement& wanted) {
    confined done;
    if (wanted.landlock) {
        done.landlock = restrict_reach(wanted.directories);
    }
    // Last: the filter knows none of Landlock's calls.
    if (wanted.seccomp) {
        restrict_calls(std::ranges::any_of(wanted.directories, [](const auto& each) {
            return each.allowed == reach::write;
        }));
        done.seccomp = true;
    }
    return done;
}

} // namespace tftpd
