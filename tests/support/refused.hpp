#pragma once

#include <stdexcept>
#include <string>

namespace tftp::test {

/// What a test needs and this system does not give: no fault of what is tested. what() says in one
/// line what was wanted and what the system said; see skip.hpp.
class refused_here : public std::runtime_error {
public:
    /// wanted: in the words of the reader, as "mounts of its own". error: an errno.
    refused_here(const std::string& wanted, int error);
    refused_here(const std::string& wanted, const std::string& why);

    explicit refused_here(const std::string& reason) : std::runtime_error(reason) {}
};

/// Gives the calling thread, and all it starts later, mounts of their own: nobody else sees what it
/// mounts. Throws refused_here; nothing has changed then but, at most, the namespace.
void enter_own_mounts();

/// Does nothing where enter_own_mounts() and the mount of a file system in memory will succeed;
/// throws refused_here otherwise. Tries it in a child, so that nothing changes here.
void try_own_mounts();

/// Does nothing where this process may give its identity up for that of `user`, which also owns
/// what it is given; throws refused_here otherwise. Whoever is not root is another user already.
void try_other_user(unsigned user);

} // namespace tftp::test
