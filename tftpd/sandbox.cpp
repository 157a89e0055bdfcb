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
        const auto has = [&wanted](reach allowed) {
            return std::ranges::any_of(wanted.directories, [allowed](const auto& each) {
                return each.allowed == allowed;
            });
        };
        restrict_calls({has(reach::write), has(reach::append), done.landlock > 0});
        done.seccomp = true;
    } else {
        hide_refused_clone3();
    }
    return done;
}

} // namespace tftpd
