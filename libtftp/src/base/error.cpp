#include <tftp/base/error.hpp>

#include <boost/system/generic_category.hpp>
#include <boost/system/system_category.hpp>

#include <cerrno>
#include <string>

namespace tftp {

namespace {

/// Why a file is not opened or written.
const char* refusal_text_of(errc code) noexcept {
    switch (code) {
    case errc::not_world_readable:
        return "The file is not readable for others";
    case errc::unreadable:
        return "The user of this process may not read the file";
    case errc::no_entry:
        return "The user of this process may not enter a directory on the way to the file";
    case errc::link_refused:
        return "A symbolic link is on the way, and none is followed";
    case errc::absolute_link:
        return "A symbolic link with an absolute target leads out of the directory";
    case errc::link_leaves:
        return "A symbolic link with a relative target leads out of the directory";
    case errc::link_loop:
        return "Too many symbolic links are on the way";
    case errc::uploads_off:
        return "Uploads are not enabled";
    case errc::directory_not_writable:
        return "The user of this process may not write to the directory";
    case errc::not_writable:
        return "The user of this process may not write to the file";
    case errc::not_world_writable:
        return "The file is not writable for others";
    case errc::kept_for_owner:
        return "The directory is sticky, and the file belongs to another user";
    case errc::held:
        return "Another program holds the file and did not let it go in time";
    case errc::no_server:
        return "No server was given to ask";
    case errc::unknown_host:
        return "There is no such host";
    case errc::lookup_failed:
        return "The address of the host cannot be looked up now";
    case errc::bad_local_address:
        return "The local address is not numeric, such as 192.0.2.1:6969, or of another family "
               "than "
               "the peer";
    case errc::not_rewindable:
        return "The content is a stream: it cannot be sent again from the start";
    default:
        return "Unknown TFTP error";
    }
}

const char* text_of(errc code) noexcept {
    switch (code) {
    case errc::malformed:
        return "The datagram is not a TFTP packet";
    case errc::unknown_opcode:
        return "The packet has an opcode that TFTP does not define";
    case errc::unsupported_mode:
        return "The transfer mode is neither octet nor netascii";
    case errc::too_long:
        return "The packet is too long";
    case errc::timed_out:
        return "The other side stopped answering";
    case errc::bad_option_answer:
        return "The server answered with an option that was not asked for, or with a value it "
               "must not choose";
    case errc::rollover_forbidden:
        return "The file has more than 65535 blocks, and going on past them is forbidden; a "
               "larger blksize helps";
    case errc::too_large:
        return "The file is larger than allowed here";
    case errc::truncated:
        return "The transfer ended before all of the announced octets arrived";
    case errc::would_block:
        return "No octets can be read now without waiting";
    case errc::size_probe:
        return "The client only asked for the size of the file";
    case errc::stopped:
        return "The transfer was stopped on this side";
    case errc::superseded:
        return "A newer request of the same client took the place of this transfer";
    case errc::bad_name:
        return "The file name is not allowed";
    case errc::not_regular:
        return "The name does not lead to a regular file";
    case errc::forbidden:
        return "The access rules of this side forbid it";
    case errc::bad_uri:
        return "The URI does not have the form tftp://host[:port]/file[;mode=octet|netascii]";
    case errc::overloaded:
        return "Too many transfers are under way";
    case errc::source_shrank:
        return "The file became shorter while it was sent";
    case errc::oversize:
        return "A block is larger than what was agreed";
    case errc::crowded_out:
        return "Never acknowledged, and newer requests needed the place";
    case errc::client_overloaded:
        return "Too many transfers of this client are under way";
    case errc::too_fast:
        return "This client asks too often";
    case errc::stalled:
        return "The file system did not answer in time";
    case errc::not_a_client:
        return "The peer answered like a server: the request was forged";
    case errc::source_changed:
        return "The file changed while it was sent";
    case errc::out_of_time:
        return "The transfer took longer than allowed here";
    case errc::excess:
        return "More came than the size that was announced";
    default:
        return refusal_text_of(code);
    }
}

/// Returns what the peer reports, for the user of this side.
const char* report_of(peer_errc code) noexcept {
    switch (code) {
    case peer_errc::undefined:
        return "The other side ended the transfer with an error";
    case peer_errc::not_found:
        return "The other side has no such file";
    case peer_errc::access_violation:
        return "The other side denies access";
    case peer_errc::disk_full:
        return "The other side has no room for the file";
    case peer_errc::illegal_operation:
        return "The other side does not understand or allow the operation";
    case peer_errc::unknown_transfer_id:
        return "The other side does not know this transfer";
    case peer_errc::file_exists:
        return "The file exists already on the other side";
    case peer_errc::no_such_user:
        return "The other side has no such user";
    case peer_errc::option_refused:
        return "The other side refuses the options";
    }
    return "The other side ended the transfer with an error code that TFTP does not define";
}

/// Returns true for what the rules or rights of this side forbid.
bool is_denial(errc code) noexcept {
    switch (code) {
    case errc::forbidden:
    case errc::not_world_readable:
    case errc::unreadable:
    case errc::no_entry:
    case errc::link_refused:
    case errc::absolute_link:
    case errc::link_leaves:
    case errc::link_loop:
    case errc::uploads_off:
    case errc::directory_not_writable:
    case errc::not_writable:
    case errc::not_world_writable:
    case errc::kept_for_owner:
        return true;
    default:
        return false;
    }
}

namespace conditions = boost::system::errc;

// g++ counts the protected destructor of the base as accessible, because the base has friends. No
// category is ever deleted.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// The identities are random numbers: they keep a category equal to itself when it exists in more
// than one shared object.
class own_category final : public boost::system::error_category {
public:
    constexpr own_category() noexcept : error_category(0x6e1d3fb2a9c04857ULL) {}

    const char* name() const noexcept override { return "tftp"; }

    std::string message(int value) const override { return text_of(static_cast<errc>(value)); }

    const char* message(int value, char*, std::size_t) const noexcept override {
        return text_of(static_cast<errc>(value));
    }

    boost::system::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
        case errc::timed_out:
        case errc::out_of_time:
            return conditions::make_error_condition(conditions::timed_out);
        case errc::would_block:
            return conditions::make_error_condition(conditions::operation_would_block);
        case errc::stopped:
            return conditions::make_error_condition(conditions::operation_canceled);
        case errc::too_large:
            return conditions::make_error_condition(conditions::file_too_large);
        default:
            return is_denial(static_cast<errc>(value))
                       ? conditions::make_error_condition(conditions::permission_denied)
                       : boost::system::error_condition(value, *this);
        }
    }
};

class other_category final : public boost::system::error_category {
public:
    constexpr other_category() noexcept : error_category(0x8b72c50e14f6d39aULL) {}

    const char* name() const noexcept override { return "tftp.peer"; }

    std::string message(int value) const override {
        return report_of(static_cast<peer_errc>(value));
    }

    const char* message(int value, char*, std::size_t) const noexcept override {
        return report_of(static_cast<peer_errc>(value));
    }

    bool failed(int) const noexcept override { return true; }

    boost::system::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<peer_errc>(value)) {
        case peer_errc::not_found:
            return conditions::make_error_condition(conditions::no_such_file_or_directory);
        case peer_errc::access_violation:
            return conditions::make_error_condition(conditions::permission_denied);
        case peer_errc::disk_full:
            return conditions::make_error_condition(conditions::no_space_on_device);
        case peer_errc::file_exists:
            return conditions::make_error_condition(conditions::file_exists);
        default:
            return {value, *this};
        }
    }
};

#pragma GCC diagnostic pop

constexpr own_category own;
constexpr other_category other;

peer_errc from_errc(errc code) noexcept {
    switch (code) {
    case errc::malformed:
    case errc::unknown_opcode:
    case errc::unsupported_mode:
    case errc::oversize:
        return peer_errc::illegal_operation;
    case errc::bad_option_answer:
        return peer_errc::option_refused;
    case errc::bad_name:
    case errc::not_regular:
        return peer_errc::access_violation;
    case errc::too_large:
    case errc::rollover_forbidden:
        return peer_errc::disk_full;
    default:
        return is_denial(code) ? peer_errc::access_violation : peer_errc::undefined;
    }
}

peer_errc from_errno(int value) noexcept {
    switch (value) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: // No file can have such a name, so there is none.
        return peer_errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ETXTBSY:
    case ELOOP: // A link where none is followed, see openat2(2).
    case EXDEV: // A name that leads out of the root, see openat2(2).
        return peer_errc::access_violation;
    case ENOSPC:
#ifdef EDQUOT // not in the C library of MinGW
    case EDQUOT:
#endif
    case EFBIG:
        return peer_errc::disk_full;
    case EEXIST:
        return peer_errc::file_exists;
    default:
        return peer_errc::undefined;
    }
}

} // namespace

const boost::system::error_category& tftp_category() noexcept {
    return own;
}

const boost::system::error_category& peer_category() noexcept {
    return other;
}

peer_errc to_peer_errc(const error_code& error) noexcept {
    if (error.category() == tftp_category()) {
        return from_errc(static_cast<errc>(error.value()));
    }
    if (error.category() == peer_category()) {
        return static_cast<peer_errc>(error.value());
    }
    if (error.category() == boost::system::system_category() ||
        error.category() == boost::system::generic_category()) {
        return from_errno(error.value());
    }
    return peer_errc::undefined;
}

bool is_shortage(const error_code& error) noexcept {
    namespace conditions = boost::system::errc;
    return error == conditions::too_many_files_open ||
           error == conditions::too_many_files_open_in_system ||
           error == conditions::not_enough_memory || error == conditions::no_buffer_space;
}

const char* peer_message(peer_errc code) noexcept {
    switch (code) {
    case peer_errc::not_found:
        return "File not found";
    case peer_errc::access_violation:
        return "Access violation";
    case peer_errc::disk_full:
        return "Disk full or allocation exceeded";
    case peer_errc::illegal_operation:
        return "Illegal TFTP operation";
    case peer_errc::unknown_transfer_id:
        return "Unknown transfer ID";
    case peer_errc::file_exists:
        return "File already exists";
    case peer_errc::no_such_user:
        return "No such user";
    case peer_errc::option_refused:
        return "Option negotiation failed";
    case peer_errc::undefined:
        break;
    }
    return "Transfer failed";
}

} // namespace tftp
