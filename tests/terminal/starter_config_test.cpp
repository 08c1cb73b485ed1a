// The configuration that `vorrang init` writes.
#include "terminal/starter_config.hpp"

#include "config/environment.hpp"
#include "config/reader.hpp"

#include "catch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

using namespace vorrang;
using namespace vorrang::terminal;

namespace {

class folder {
public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "vorrang-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }
  std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(file(name)).rdbuf();
    return text.str();
  }

private:
  std::filesystem::path path_;
};

} // namespace

TEST_CASE("starter configuration: nothing is wrong with it, and nothing is warned of") {
  const folder made;
  std::string trouble;
  REQUIRE(write_starter_config(made.file("c.yaml"), false, trouble));
  CHECK(made.content("c.yaml") == starter_config());
  const auto read = config::read_file(made.file("c.yaml"), config::fixed_environment({}));
  for (const auto& each : read.diagnostics)
    UNSCOPED_INFO(each.path << ": " << each.message);
  CHECK(read.diagnostics.empty());
  REQUIRE(read.settings.groups.size() == 1);
  CHECK(read.settings.groups[0].name == "demo");
}

TEST_CASE("starter configuration: nor if each setting that is turned off is turned on") {
  const folder made;
  const std::regex turned_off("(^|\n)( *)#([^ \n])");
  const std::regex below("(^|\n)  #( {2,})(litellm_params|model|api_key|api_base|rpm|tpm|max_)");
  auto text = std::regex_replace(std::string(starter_config()), turned_off, "$1$2$3");
  text = std::regex_replace(text, below, "$1  $2$3");
  const auto read = config::read_file(made.write("c.yaml", text),
                                      config::fixed_environment({{"OPENAI_API_KEY", "a"},
                                                                 {"AZURE_API_KEY", "b"},
                                                                 {"VORRANG_MASTER_KEY", "c"},
                                                                 {"BATCH_KEY", "d"}}));
  for (const auto& each : read.diagnostics)
    UNSCOPED_INFO(each.path << ": " << each.message);
  CHECK(read.diagnostics.empty());
  CHECK(read.settings.groups.size() == 3);
  CHECK(read.settings.deployments.size() == 4);
  CHECK(read.settings.gateway.keys.size() == 1);
}

TEST_CASE("starter configuration: a file that is there is kept, unless it is to be replaced") {
  const folder made;
  const auto file = made.write("c.yaml", "mine");
  std::string trouble;
  CHECK_FALSE(write_starter_config(file, false, trouble));
  CHECK(trouble.find("--force") != std::string::npos);
  CHECK(made.content("c.yaml") == "mine");
  CHECK(write_starter_config(file, true, trouble));
  CHECK(made.content("c.yaml") == starter_config());
  CHECK_FALSE(std::filesystem::exists(file + ".new"));

  trouble.clear();
  CHECK_FALSE(write_starter_config(made.file("absent/c.yaml"), false, trouble));
  CHECK(trouble.find("No such file") != std::string::npos);
}

TEST_CASE("starter configuration: a link to a file that is there is kept as well") {
  const folder made;
  made.write("mine.yaml", "mine");
  REQUIRE(::symlink(made.file("mine.yaml").c_str(), made.file("c.yaml").c_str()) == 0);
  std::string trouble;
  CHECK_FALSE(write_starter_config(made.file("c.yaml"), false, trouble));
  CHECK(made.content("mine.yaml") == "mine");
}

TEST_CASE("starter configuration: what replaces a file goes through a link, and keeps the mode") {
  const folder made;
  made.write("mine.yaml", "mine");
  REQUIRE(::chmod(made.file("mine.yaml").c_str(), 0600) == 0);
  REQUIRE(::symlink("mine.yaml", made.file("c.yaml").c_str()) == 0);
  std::string trouble;
  CHECK(write_starter_config(made.file("c.yaml"), true, trouble));
  CHECK(trouble.empty());
  CHECK(std::filesystem::is_symlink(made.file("c.yaml")));
  CHECK(made.content("mine.yaml") == starter_config());
  struct stat found = {};
  REQUIRE(::stat(made.file("mine.yaml").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);

  REQUIRE(::symlink("absent.yaml", made.file("nowhere.yaml").c_str()) == 0);
  CHECK_FALSE(write_starter_config(made.file("nowhere.yaml"), true, trouble));
  CHECK(trouble.find("a link to what is not there") != std::string::npos);
}

TEST_CASE("starter configuration: what is no regular file is not replaced") {
  const folder made;
  REQUIRE(::mkfifo(made.file("pipe").c_str(), 0600) == 0);
  REQUIRE(::mkdir(made.file("folder").c_str(), 0700) == 0);
  REQUIRE(::symlink("pipe", made.file("link").c_str()) == 0);
  for (const auto* name : {"pipe", "folder", "link"})
    for (const bool force : {false, true}) {
      std::string trouble;
      INFO(name << " " << force);
      CHECK_FALSE(write_starter_config(made.file(name), force, trouble));
      CHECK(trouble.find("no regular file") != std::string::npos);
    }
  CHECK(std::filesystem::is_fifo(made.file("pipe")));
  CHECK(std::filesystem::is_symlink(made.file("link")));
}

TEST_CASE("starter configuration: files beside the one that is replaced are left alone") {
  const folder made;
  const auto file = made.write("c.yaml", "mine");
  made.write("other", "of another");
  REQUIRE(::symlink("other", (file + ".new").c_str()) == 0);
  std::string trouble;
  CHECK(write_starter_config(file, true, trouble));
  CHECK(made.content("other") == "of another");
  CHECK(std::filesystem::is_symlink(file + ".new"));
  using files = std::filesystem::directory_iterator;
  CHECK(std::distance(files(file.substr(0, file.rfind('/'))), files()) == 3);
}
