// The parts of one entry of `model_list`. Internal to config/.
#pragma once

#include "config/reading.hpp"
#include "config/upstream.hpp"

namespace vorrang::config {

/// Names and ids are at most this long.
inline constexpr std::size_t name_bytes_max = 512;

/// One entry while it is read.
struct entry {
  fields item;
  fields params;
  fields info;
  deployment made;
  bool base_is_given = false;
};

void read_mock(entry& e);
void read_headers(entry& e);
/// rpm and tpm stand at the deployment, in litellm_params or in model_info: the first counts.
void read_limits(entry& e, const reading& to);
void read_reliability(entry& e, reading& to);
/// `id`, `mode`, `max_input_tokens`, `supported_endpoints`; other keys are kept for /model/info.
void read_model_info(entry& e, const node* map);
/// Where its requests go, and with which key.
void read_upstream(entry& e, const placed_model& placed, reading& to);
/// What goes into bodies. Reads last: a key that is no setting is a default of the body.
void read_body(entry& e, const node& params, reading& to);

} // namespace vorrang::config
