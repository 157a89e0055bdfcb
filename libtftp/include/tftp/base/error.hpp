#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <cstdint>
#include <type_traits>

namespace tftp {

/// The error type of the whole library; the type Asio's completion tokens expect.
using error_code = boost::system::error_code;

/// A value or the `error_code` that explains its absence.
template <class T>
using result = boost::system::result<T>;

/// What this side concluded, in category "tftp".
///
/// Values are stable: they are never renumbered, new ones are added at the end.
enum class errc : int {
    /// A datagram is not a well-formed TFTP packet (RFC 1350 s.5).
    malformed = 1,
    /// The opcode is none of RRQ, WRQ, DATA, ACK, ERROR, OACK.
    unknown_opcode = 2,
    /// The mode of a request is neither `octet` nor `netascii`; `mail` is refused (RFC
    /// 1123 4.2.2.1).
    unsupported_mode = 3,
    /// The packet does not fit the caller's buffer, or 512 octets for a request (RFC 2347).
    too_long = 4,
    /// The peer said nothing for as long as the configuration allows.
    timed_out = 5,
    /// The peer's OACK holds an option that was not asked for, or a value it must not have.
    bad_option_answer = 6,
    /// The block number would exceed 65535 and rollover is forbidden.
    rollover_forbidden = 7,
    /// The file is larger than a limit of this side.
    too_large = 8,
    /// The transfer ended with fewer octets than its tsize announced.
    truncated = 9,
    /// The source holds no octets now: it would block; read again where blocking is allowed.
    would_block = 10,
    /// The client ended the transfer in answer to the OACK: it only wanted to know the size.
    size_probe = 11,
    /// This side ended the transfer: it was told to stop.
    stopped = 12,
    /// A newer request of the same peer took the place of this transfer.
    superseded = 13,
    /// The name is not one a request may ask for (empty, too long, control octets, `..`).
    bad_name = 14,
    /// The name leads to something that is not a regular file.
    not_regular = 15,
    /// The policy forbids it: read-only service, or a file that others may not read or write.
    forbidden = 16,
    /// A URI does not have the form of RFC 3617.
    bad_uri = 17,
    /// A limit of this side on transfers or memory is reached.
    overloaded = 18,
    /// The source ended before the size it had promised.
    source_shrank = 19,
    /// A DATA is larger than the agreed block (RFC 2348).
    oversize = 20,
    /// Nothing was acknowledged yet, and newer requests needed the place.
    crowded_out = 21,
    /// One client has as many transfers as it may have at the same time.
    client_overloaded = 22,
    /// One client asked more often than it may; it got no answer.
    too_fast = 23,
    /// The file system did not answer for as long as a silent peer is borne.
    stalled = 24,
    /// More bytes came than the tsize that was announced (RFC 2349).
    excess = 25,
    /// The peer answered as a server does: somebody who forges addresses had set this server and
    /// another one upon each other.
    not_a_client = 26,
    /// The transfer took longer than it may on this side, however well it moved.
    out_of_time = 27,
    /// The file was written to while it was sent, or somebody writes to it all the time.
    source_changed = 28,
    /// The file lacks the read permission for others that the policy asks for.
    not_world_readable = 29,
    /// The user of this process may not read the file.
    unreadable = 30,
    /// The user of this process may not enter a directory on the way to the file.
    no_entry = 31,
    /// A symbolic link is on the way, and the policy follows none.
    link_refused = 32,
    /// A symbolic link with an absolute target does not lead to where links may lead.
    absolute_link = 33,
    /// A symbolic link with a relative target leads out of where links may lead.
    link_leaves = 34,
    /// More symbolic links are on the way than the system follows, or a magic one of proc(5).
    link_loop = 35,
    /// The service is read-only.
    uploads_off = 36,
    /// The user of this process may not write to the directory.
    directory_not_writable = 37,
    /// The user of this process may not write to the file.
    not_writable = 38,
    /// The file lacks the write permission for others that the policy asks for.
    not_world_writable = 39,
    /// The directory is sticky, and the file belongs to somebody else.
    kept_for_owner = 40,
    /// Another program holds the file and did not let it go in time: a lease, or a delegation.
    held = 41,
    /// No server was given to ask.
    no_server = 42,
    /// The host has no address.
    unknown_host = 43,
    /// Nobody could say now whether the host has an address.
    lookup_failed = 44,
    /// The address to send from, or to listen on, is no address, or not one of the peer's family.
    bad_local_address = 45,
    /// The source cannot be read again from there: it is a stream.
    not_rewindable = 46,
};

/// The error code of an ERROR packet as the peer sent it, in category "tftp.peer" (RFC 1350 s.5,
/// RFC 2347). Peers send other values too; they are kept as they came.
enum class peer_errc : std::uint16_t {
    undefined = 0,
    not_found = 1,
    access_violation = 2,
    disk_full = 3,
    illegal_operation = 4,
    unknown_transfer_id = 5,
    file_exists = 6,
    no_such_user = 7,
    option_refused = 8,
};

/// Returns the category of `errc`.
[[nodiscard]] const boost::system::error_category& tftp_category() noexcept;

/// Returns the category of `peer_errc`. Its `failed()` is true for every value: code 0 is an error
/// on the wire.
[[nodiscard]] const boost::system::error_category& peer_category() noexcept;

[[nodiscard]] inline error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), tftp_category()};
}

[[nodiscard]] inline error_code make_error_code(peer_errc e) noexcept {
    return {static_cast<int>(e), peer_category()};
}

/// Returns the wire code that tells a peer about `error`: the one place that maps errno and `errc`
/// to ERROR codes.
[[nodiscard]] peer_errc to_peer_errc(const error_code& error) noexcept;

/// Returns true when descriptors or memory are out, of this process or of the system.
[[nodiscard]] bool is_shortage(const error_code& error) noexcept;

/// Returns a fixed English sentence for `code`, without the name of any file or directory.
///
/// Lifetime: static storage.
[[nodiscard]] const char* peer_message(peer_errc code) noexcept;

} // namespace tftp

template <>
struct boost::system::is_error_code_enum<tftp::errc> : std::true_type {};

template <>
struct boost::system::is_error_code_enum<tftp::peer_errc> : std::true_type {};
