#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <stdexcept>
#include <utility>

namespace tftp::test {

namespace {

tftp::endpoint endpoint_in(std::string_view line) {
    const std::string_view text = line.substr(line.rfind(' ') + 1);
    const auto parsed = parse_endpoint(text, 0);
    if (!parsed) {
        throw std::runtime_error("no address in: " + std::string(line));
    }
    return *parsed;
}

/// The part of the line of `listen` that is known before its port is.
std::string serving_on(const std::string& listen) {
    return " on " + listen.substr(0, listen.rfind(':') + 1);
}

} // namespace

std::string tftpd_program() {
    return TFTP_TFTPD_PROGRAM;
}

std::vector<std::string> daemon_options() {
#ifdef TFTP_TEST_INSTRUMENTED
    return {"--no-landlock", "--no-seccomp"};
#else
    return {};
#endif
}

command command_of(std::vector<std::string> argv) {
    command what;
    what.argv = std::move(argv);
    return what;
}

run_result run_tftpd(const std::vector<std::string>& arguments) {
    command what = command_of({tftpd_program()});
    what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
    return run(what, daemon_limit);
}

daemon_process::daemon_process(
    const std::vector<std::string>& options,
    const std::vector<std::string>& listen,
    const std::vector<std::string>& wrapper
) {
    command what = command_of(wrapper);
    what.argv.push_back(tftpd_program());
    for (const auto& each : {daemon_options(), options}) {
        what.argv.insert(what.argv.end(), each.begin(), each.end());
    }
    for (const std::string& each : listen) {
        what.argv.insert(what.argv.end(), {"--listen", each});
    }
    what.argv.push_back(root().string());
    process_.emplace(what);
    for (const std::string& each : listen) {
        const auto line = process_->wait_for_line(serving_on(each), daemon_limit);
        if (!line) {
            throw std::runtime_error(to_string(what) + ": " + process_->errors());
        }
        endpoints_.push_back(endpoint_in(*line));
    }
}

std::string daemon_process::line(std::string_view part) {
    return process_->wait_for_line(part, daemon_limit).value_or(std::string());
}

bool daemon_process::serves() {
    udp_client client(
        server().family == address_family::ipv4 ? tftp::endpoint::ipv4(127, 0, 0, 1, 0)
                                                : server().with_port(0)
    );
    client.send(server(), rrq("is-anybody-there"));
    const auto answer = client.receive();
    return answer && error_code_of(*answer) == 1;
}

std::uint16_t opcode_of(const arrived& message) {
    return message.octets.size() < 2 ? std::uint16_t{0}
                                     : static_cast<std::uint16_t>(
                                           std::to_integer<unsigned>(message.octets[0]) << 8 |
                                           std::to_integer<unsigned>(message.octets[1])
                                       );
}

std::optional<std::uint16_t> error_code_of(const arrived& message) {
    if (opcode_of(message) != 5 || message.octets.size() < 4) {
        return std::nullopt;
    }
    return std::to_integer<std::uint16_t>(message.octets[3]);
}

} // namespace tftp::test
