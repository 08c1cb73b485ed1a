#pragma once

#include "bench/checked/clock.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace vorrang::checked {

/// What a client did and was told. Its number is its place in `records::requests`.
struct request_record {
  int connection = 0;
  int priority = 0;
  moment sent = never;
  /// The client hung up.
  moment left = never;
  /// The answer was whole, or the connection ended without one.
  moment answered = never;
  /// 0: no answer; -1: none yet.
  int status = -1;
  /// As the answer says: which deployment, after how many attempts and how long a wait.
  std::string deployment;
  long attempts = -1;
  long wait_ms = -1;
  /// The number that the provider put into the answer.
  long echoed = -1;
};

/// What a provider was asked.
struct call_record {
  long request = -1;
  std::size_t deployment = 0;
  /// Of the gateway's connections to providers.
  int connection = 0;
  /// Its first bytes were read.
  moment begun = never;
  /// Before the answer's last bytes were written, or when the gateway had broken it off.
  moment ended = never;
  /// What was answered; 0: broken off.
  int status = 0;
};

/// Who stood in line at one moment between the two.
struct look_record {
  moment asked = never;
  moment told = never;
  long inversions = 0;
  std::vector<long> waiting;
};

/// What one thread that is all clients and all providers has seen.
struct records {
  std::vector<request_record> requests;
  std::vector<call_record> calls;
  std::vector<look_record> looks;

  /// Lines of comma-separated values that begin with R, C or L; tests/system/speed_history.py reads
  /// them. False: the file could not be written.
  bool write(const char* path) const;
};

} // namespace vorrang::checked
