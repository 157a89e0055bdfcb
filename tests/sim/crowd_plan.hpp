#pragma once

#include <cstdint>
#include <sim/crowd_server.hpp>
#include <sim/field_client.hpp>
#include <sim/own_client.hpp>
#include <sim/raw_client.hpp>
#include <variant>
#include <vector>

namespace tftp::sim {

/// A client of the field, and when it begins.
struct field_plan {
    field_client_config client;
    duration begins{};
    std::uint64_t size = 0;
    happening kind = happening::uboot;
};

/// One client: what it is and the path to it.
struct client_plan {
    std::variant<own_client_plan, raw_client_plan, field_plan> peer;
    link_config to_server;
    link_config to_client;
    /// There is so little trouble that it must succeed.
    bool calm = false;
    /// Nothing is late, so each DATA sent again has a loss behind it.
    bool orderly = false;
};

/// Datagrams from nowhere.
struct injector_plan {
    /// Times when something is injected, and what: values of `happening`.
    std::vector<std::pair<duration, happening>> events;
};

/// All that makes one run of a crowd; with the same seed it is the same run.
struct crowd_plan {
    server_plan server;
    std::vector<client_plan> clients;
    injector_plan injector;
};

/// Returns the plan of `seed`: its own few kinds of peers and faults, each at its own strength.
[[nodiscard]] crowd_plan random_crowd(std::uint64_t seed);

/// Prints what `plan` holds.
void print(const crowd_plan& plan);

} // namespace tftp::sim
