#pragma once

#include "common/echo_service.hpp"
#include "common/program.hpp"
#include "common/stop.hpp"
#include "common/tftp_service.hpp"

#include <tftp/socket/socket_address.hpp>

#include <iostream>
#include <string>

namespace example {

/// The command line of all servers: what to serve, and where.
inline constexpr std::initializer_list<argument> server_arguments = {
    {"--service", "echo (TCP) or tftp", "echo"},
    {"--listen", "ADDRESS:PORT; port 0 takes a free one", "127.0.0.1:0"},
    {"--root", "directory that TFTP serves", "."},
};

/// Says that clients may come.
inline void announce(const tftp::endpoint& where) {
    std::cout << "serving on " << tftp::to_string(where) << std::endl;
}

/// Makes the service that the command line names, announces it, and has `serve(service, stop)`
/// serve until Ctrl-C. Returns the exit status.
template <class Serve>
int serve_chosen(const arguments& given, Serve serve) {
    raise_descriptor_limit();
    const stop_signal stop;
    const tftp::endpoint where = given.address("--listen");
    if (given.one_of("--service", {"echo", "tftp"}) == "echo") {
        echo_service service(where);
        announce(service.address());
        serve(service, stop);
    } else {
        tftp_service service(where, given.text("--root"));
        announce(service.address());
        serve(service, stop);
    }
    std::cout << "ended" << std::endl;
    return 0;
}

/// Returns how long to wait, in milliseconds: as poll(2) and epoll_wait(2) take it, -1 for ever.
[[nodiscard]] inline int milliseconds_until(std::optional<tftp::time_point> deadline) {
    if (!deadline) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - tftp::clock::now());
    return static_cast<int>(std::max<long>(left.count(), 0));
}

/// Calls on_deadline() of a service when its time has come.
template <class Service>
void meet_deadline(Service& served, tftp::time_point now) {
    if (const auto deadline = served.deadline(); deadline && now >= *deadline) {
        served.on_deadline(now);
    }
}

} // namespace example
