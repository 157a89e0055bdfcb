#pragma once

#include "server/admitted_request.hpp"
#include "server/incoming_request.hpp"
#include "server/kept_files.hpp"
#include "server/negotiator.hpp"
#include "server/port_allocator.hpp"
#include "server/request_refuser.hpp"
#include "server/server_transfer.hpp"
#include "server/shard_admission.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/error.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/transfer/events.hpp>
#include <tftp/wire/options.hpp>

#include <memory>

namespace tftp {

/// The parts of a shard that beginning a transfer takes.
struct starting_parts {
    transfer_runner& runner;
    port_allocator& ports;
    kept_files& files;
    shard_admission& room;
    request_refuser& refuser;
};

/// Makes a transfer of a request whose content was opened: answers its options, gets a port, and
/// hands it to the runner. What cannot become one is refused.
///
/// Not thread-safe.
class transfer_starter {
public:
    /// Lifetime: all are borrowed.
    transfer_starter(shard_context& context, const starting_parts& parts) noexcept
        : context_(context), parts_(parts), negotiator_(context) {}

    /// Serves what `a` reads, or says why it was not opened. Throws std::bad_alloc.
    void
    begin_read(const incoming_request& a, grant granted, result<std::shared_ptr<source>> opened);
    /// Stores what `a` writes, or says why it was not opened. Throws std::bad_alloc.
    void
    begin_write(const incoming_request& a, grant granted, result<std::shared_ptr<sink>> opened);

    /// Answers with the ERROR that `what` stands for. When it is a shortage, makes room for the
    /// request that will come again, and that is the reason whatever `why` says.
    void refuse(const incoming_request& a, reason why, const error_code& what) noexcept;

private:
    [[nodiscard]] opened_port
    open_port(const incoming_request& a, const parameters& receives) noexcept;
    void start(
        const incoming_request& a,
        const verdict& decided,
        const parameters& agreed,
        std::unique_ptr<server_transfer> made
    );
    [[nodiscard]] engine_config
    engine_for(const incoming_request& a, const verdict& decided) const noexcept;
    [[nodiscard]] transfer_setup
    setup_for(const incoming_request& a, std::unique_ptr<datagram_socket> port) noexcept;
    void make_room(const incoming_request& a) noexcept;

    shard_context& context_;
    starting_parts parts_;
    negotiator negotiator_;
};

} // namespace tftp
