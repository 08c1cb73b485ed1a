// Preloaded into the gateway: names that a test makes up.
//
// VORRANG_TEST_NAMES is a file of lines `name address`, read at each look-up, so that a test can
// let a name move. Who is looked up is appended to `<file>.asked`, a line each. Without the
// variable, and for other names, the resolver is asked as ever.
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <netdb.h>
#include <string>

extern "C" __attribute__((visibility("default"))) int
getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const char* const path = std::getenv("VORRANG_TEST_NAMES");
  if (name == nullptr || path == nullptr)
    return real(name, service, hints, found);
  std::ifstream table(path);
  for (std::string known, address; table >> known >> address;) {
    if (known == name) {
      std::ofstream(std::string(path) + ".asked", std::ios::app) << known << '\n';
      return real(address.c_str(), service, hints, found);
    }
  }
  return real(name, service, hints, found);
}
