#ifndef TFTP_H
#define TFTP_H

/// TFTP for C: files of a server read and written by one call each. RFC 1350, 2347, 2348, 2349,
/// 7440.
///
/// URLs are tftp://HOST[:PORT]/FILE[;mode=netascii], as in RFC 3617. HOST is a name or an address,
/// IPv6 in brackets. Without a mode bytes are transferred as they are.
///
/// Threads: each call blocks the calling thread until the transfer has ended. Any number of threads
/// may have transfers of their own; there is no state that they share, and nothing to set up.
///
/// Lifetime: what is passed by pointer is borrowed until the call returns.
///
/// Callbacks run in the calling thread. They must return: neither longjmp() nor a C++ exception may
/// leave them.

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TFTP_API __attribute__((visibility("default")))
#else
#define TFTP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// How a transfer ended. The numbers are stable: none ever changes its meaning. Those below 20 are
/// the exit statuses of tftp(1).
enum tftp_status {
    TFTP_OK = 0,
    /// Any other failure.
    TFTP_OTHER = 1,
    /// An argument cannot be used: NULL, a bad URL, a name too long, an option out of its range.
    TFTP_INVALID = 2,
    /// The server did not answer or fell silent, or `timeout_ms` is over.
    TFTP_TIMED_OUT = 3,
    /// The file on this side cannot be read, written or stored.
    TFTP_LOCAL_FILE = 4,
    /// The host was not found, it cannot be reached, or nobody listens at its port.
    TFTP_NETWORK = 5,
    /// The server has no such file.
    TFTP_NOT_FOUND = 6,
    /// The server denies access.
    TFTP_ACCESS = 7,
    /// The server has no room for the file.
    TFTP_DISK_FULL = 8,
    /// The server has such a file already.
    TFTP_EXISTS = 9,
    /// The options were refused, or answered against the rules. RFC 2347.
    TFTP_OPTION_REFUSED = 10,
    /// A callback stopped the transfer.
    TFTP_STOPPED = 20,
    /// The file is larger than `size_max`.
    TFTP_TOO_LARGE = 21,
    /// Memory ran out on this side.
    TFTP_NO_MEMORY = 22
};

/// Whose failure ended a transfer.
enum tftp_side {
    /// Nobody's: it went well.
    TFTP_SIDE_NONE = 0,
    /// What was to be sent or stored here: a file, or a callback that gave too much.
    TFTP_SIDE_CONTENT = 1,
    /// The network, or the way to it; a server that fell silent; a name without an address.
    TFTP_SIDE_NETWORK = 2,
    /// The server: it said so, or broke the protocol.
    TFTP_SIDE_SERVER = 3,
    /// A rule, a limit or an order of this side: an invalid argument, a callback that stopped it,
    /// too much time, a file too large.
    TFTP_SIDE_OWN = 4
};

/// A size in bytes that is not known.
#define TFTP_SIZE_UNKNOWN UINT64_MAX

/// Hears of progress about ten times a second, and once when the transfer went well.
///
/// bytes: of content so far. total: bytes of content in all, or TFTP_SIZE_UNKNOWN. Returns 0 to go
/// on; anything else ends the transfer with TFTP_STOPPED.
typedef int tftp_progress_function(void* user, uint64_t bytes, uint64_t total);

/// Takes the next `size` bytes of a file, at least 1; they come in order, each once.
///
/// Lifetime: `data` until it returns. Returns 0 to go on; anything else ends the transfer with
/// TFTP_STOPPED.
typedef int tftp_write_function(void* user, const void* data, size_t size);

/// Fills a part of `buffer`, which has room for `capacity` bytes, at least 1, with what comes next.
///
/// It may block, but a server gives up after some seconds of silence. size: to be set to the bytes
/// written, 0 at the end of the file. Returns 0 to go on; anything else ends the transfer with
/// TFTP_STOPPED.
typedef int tftp_read_function(void* user, void* buffer, size_t capacity, size_t* size);

/// How to transfer. Set `size` and what is to be other than usual, and leave the rest 0:
///
///     struct tftp_options options = {.size = sizeof options, .timeout_ms = 5000};
///
/// A later version may have more members at the end. A library that does not know one refuses it
/// with TFTP_INVALID, unless it is 0.
struct tftp_options {
    /// sizeof(struct tftp_options).
    size_t size;
    /// Longest time of the whole transfer in ms; looking up a name may take longer. 0: no limit,
    /// but a silent server is given up, see `request_sends` and `silence_ms`.
    uint32_t timeout_ms;
    /// Bytes of a block to ask for, 8..65464. 0: what the route carries without fragments, at most
    /// 8192. RFC 2348.
    uint32_t blksize;
    /// Blocks to ask for before each acknowledgement, 1..32767. 0: 64, or as many as make up 256
    /// KiB. RFC 7440.
    uint32_t windowsize;
    /// Not 0: ask for no option at all, RFC 1350 alone; `blksize` and `windowsize` must be 0.
    int no_options;
    /// Times that the request is sent while the server does not answer, 1..255. 0: 5.
    uint32_t request_sends;
    /// Time in ms after which it is sent the first time again; doubled from then on. 0: 1000.
    uint32_t request_interval_ms;
    /// Time in ms without progress after which a transfer is given up that had begun. 0: 60000.
    uint32_t silence_ms;
    /// Most bytes that a read may bring. 0: no limit, but 256 MiB for tftp_get_memory().
    uint64_t size_max;
    /// Numeric address to send from, a port, or both: "192.0.2.5", "[2001:db8::5]:4000", ":4000".
    /// NULL: the choice of the system.
    const char* local_address;
    /// Name of the network interface to send and receive by, such as "eth1". NULL: as routes say.
    /// Takes CAP_NET_RAW before Linux 5.7.
    const char* device;
    /// Hears of progress; may be NULL.
    tftp_progress_function* progress;
    /// What `progress` is called with.
    void* progress_user;
};

/// How a transfer ended, and what it took. It needs no initialisation; each call fills it whole.
struct tftp_result {
    /// What the call returned.
    enum tftp_status status;
    /// Whose failure it is.
    enum tftp_side side;
    /// Code of the ERROR that the server sent, 0..65535, -1 if it sent none. RFC 1350 s.5.
    int32_t server_code;
    /// An errno when the system refused, else 0.
    int32_t system_error;
    /// Bytes of content that were transferred, counted as they were sent.
    uint64_t bytes;
    /// Time from the request to the end.
    double seconds;
    /// Bytes of a block as agreed.
    uint32_t blksize;
    /// Blocks of a window as agreed.
    uint32_t windowsize;
    /// One line for a person: what went wrong, and in whose words; printable ASCII, but for a host
    /// name of the URL. Empty when nothing did.
    char message[512];
    /// The text of the server's ERROR as it came, which need not be printable; empty without one.
    /// What does not fit is left out.
    char server_text[512];
    /// For later versions; 0.
    uint64_t reserved[8];
};

/// Returns the version of the library, "major.minor.patch". Lifetime: static storage.
TFTP_API const char* tftp_version(void);

/// Reads the file of `url` into the file `path`, which appears whole or not at all and takes the
/// place of one that is there.
///
/// options: NULL for the usual. result: may be NULL. Returns `result->status`.
TFTP_API enum tftp_status tftp_get_file(
    const char* url,
    const char* path,
    const struct tftp_options* options,
    struct tftp_result* result
);

/// Reads the file of `url` into memory: `*data` becomes its `*size` bytes, and a NUL behind them
/// that is not counted. When it fails, `*data` becomes NULL and `*size` 0.
///
/// Lifetime: `*data` until tftp_free(). Otherwise as tftp_get_file().
TFTP_API enum tftp_status tftp_get_memory(
    const char* url,
    void** data,
    size_t* size,
    const struct tftp_options* options,
    struct tftp_result* result
);

/// Frees what tftp_get_memory() returned; NULL is nothing.
TFTP_API void tftp_free(void* data);

/// Reads the file of `url` and passes it to `write`, as it comes. Whether it was all is known when
/// the call returns: a transfer that fails has passed a part on.
///
/// user: what `write` is called with. Otherwise as tftp_get_file().
TFTP_API enum tftp_status tftp_get_callback(
    const char* url,
    tftp_write_function* write,
    void* user,
    const struct tftp_options* options,
    struct tftp_result* result
);

/// Writes the file `path` to the file of `url`, and returns when the server has acknowledged all of
/// it.
///
/// Otherwise as tftp_get_file().
TFTP_API enum tftp_status tftp_put_file(
    const char* url,
    const char* path,
    const struct tftp_options* options,
    struct tftp_result* result
);

/// Writes the `size` bytes at `data` to the file of `url`; `data` may be NULL when there are none.
///
/// Otherwise as tftp_put_file().
TFTP_API enum tftp_status tftp_put_memory(
    const char* url,
    const void* data,
    size_t size,
    const struct tftp_options* options,
    struct tftp_result* result
);

/// Writes what `read` brings to the file of `url`. It is read once and in order; the library keeps
/// what it may have to send again.
///
/// user: what `read` is called with. size: of the whole in bytes, which the server is told (RFC
/// 2349), or TFTP_SIZE_UNKNOWN. Otherwise as tftp_put_file().
TFTP_API enum tftp_status tftp_put_callback(
    const char* url,
    tftp_read_function* read,
    void* user,
    uint64_t size,
    const struct tftp_options* options,
    struct tftp_result* result
);

#ifdef __cplusplus
}
#endif

#endif
