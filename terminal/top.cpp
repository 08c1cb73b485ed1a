#include "terminal/top.hpp"

#include "terminal/printable.hpp"
#include "terminal/terminal_kind.hpp"
#include "terminal/top_screen.hpp"

#include <fcntl.h>
#include <ncursesw/curses.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <deque>
#include <mutex>
#include <ostream>
#include <thread>

namespace vorrang::terminal {

namespace {

constexpr int status_failed = 1;
constexpr int patience_s = 2;
constexpr std::chrono::seconds period(1);

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 16> text{};
  const auto size = std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return std::string(text.data(), size);
}

/// A pipe that tells poll() of signals and of what other threads have done. One at a time.
class wake_pipe {
public:
  wake_pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0)
      ends_ = {-1, -1};
    writing_end = ends_[1];
  }
  ~wake_pipe() {
    writing_end = -1;
    for (const int each : ends_)
      ::close(each);
  }
  wake_pipe(const wake_pipe&) = delete;
  wake_pipe& operator=(const wake_pipe&) = delete;

  int reading_end() const noexcept { return ends_[0]; }
  void drain() const {
    std::array<char, 64> bytes{};
    while (::read(ends_[0], bytes.data(), bytes.size()) > 0) {
    }
  }
  /// Also from a signal's handler.
  static void ring() noexcept {
    const int saved = errno;
    if (writing_end >= 0 && ::write(writing_end, "x", 1) < 0) {
      // it is full: poll() wakes anyway
    }
    errno = saved;
  }

private:
  std::array<int, 2> ends_{-1, -1};
  static inline volatile std::sig_atomic_t writing_end = -1;
};

volatile std::sig_atomic_t signal_that_came = 0;

void note_signal(int which) {
  signal_that_came = which;
  wake_pipe::ring();
}

/// Signals that end the process come to the loop instead, while this lives. Outlives the screen,
/// whose own handlers are for those that nobody has taken.
class signal_watch {
public:
  signal_watch() {
    signal_that_came = 0;
    struct sigaction wanted {};
    wanted.sa_handler = note_signal;
    ::sigemptyset(&wanted.sa_mask);
    for (std::size_t i = 0; i < watched.size(); ++i)
      ::sigaction(watched[i], &wanted, &before_[i]);
  }
  ~signal_watch() {
    for (std::size_t i = 0; i < watched.size(); ++i)
      ::sigaction(watched[i], &before_[i], nullptr);
  }
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

private:
  static constexpr std::array<int, 4> watched = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
  std::array<struct sigaction, 4> before_{};
};

/// The terminal as a screen, and as it was when this dies.
class screen {
public:
  explicit screen(bool is_coloured) {
    initscr();
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    if (is_coloured && has_colors() == TRUE) {
      start_color();
      use_default_colors();
      init_pair(1, COLOR_YELLOW, -1);
      init_pair(2, COLOR_RED, -1);
      has_colours_ = true;
    }
  }
  ~screen() { endwin(); }
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;

  void draw(const top_screen& what) {
    int rows = 0, columns = 0;
    getmaxyx(stdscr, rows, columns);
    werase(stdscr);
    const auto lines = what.draw(static_cast<std::size_t>(std::max(0, rows)),
                                 static_cast<std::size_t>(std::max(0, columns)));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto attributes = attributes_of(lines[i].how);
      attron(attributes);
      mvaddnstr(static_cast<int>(i), 0, lines[i].text.c_str(), -1);
      attroff(attributes);
    }
    wrefresh(stdscr);
  }

private:
  int attributes_of(look how) const {
    const auto colour = [&](int pair, int without) {
      return has_colours_ ? static_cast<int>(COLOR_PAIR(pair)) : without;
    };
    switch (how) {
    case look::title:
    case look::chosen:
      return static_cast<int>(A_REVERSE);
    case look::heading:
      return static_cast<int>(A_BOLD);
    case look::warning:
      return colour(1, static_cast<int>(A_BOLD));
    case look::bad:
      return colour(2, static_cast<int>(A_BOLD));
    case look::faint:
      return static_cast<int>(A_DIM);
    case look::plain:
      break;
    }
    return static_cast<int>(A_NORMAL);
  }

  bool has_colours_ = false;
};

/// Asks the admin port on a thread of its own, so that keys are answered at once.
class watcher {
public:
  watcher(const admin_address& where, const std::optional<admin_key>& master_key)
      : client_(where, master_key, patience_s) {
    // Signals are for the thread that waits in poll().
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    thread_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~watcher() { finish(); }
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;

  /// Looks at this group from now on; soon, if it is another one.
  void look_at(const std::string& model) {
    {
      const std::lock_guard lock(mutex_);
      if (model_ == model)
        return;
      model_ = model;
      hurries_ = true;
    }
    changed_.notify_all();
  }
  void act(top_action wanted) {
    {
      const std::lock_guard lock(mutex_);
      actions_.push_back(std::move(wanted));
    }
    changed_.notify_all();
  }
  /// Ends it, when all that was decided is done. What came of that, if nobody has heard it yet.
  std::optional<std::string> finish() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      if (!acts_) // it looks, or waits: nobody will see what comes of it
        client_.stop();
    }
    changed_.notify_all();
    if (thread_.joinable())
      thread_.join();
    return take_told();
  }
  std::optional<top_view> take_view() {
    const std::lock_guard lock(mutex_);
    return std::exchange(view_, std::nullopt);
  }
  std::optional<std::string> take_told() {
    const std::lock_guard lock(mutex_);
    return std::exchange(told_, std::nullopt);
  }

private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto next = std::chrono::steady_clock::now() + period;
      hurries_ = false;
      while (!actions_.empty())
        act_next(lock);
      if (ended_)
        return;
      const std::string model = model_;
      lock.unlock();
      auto view = look(model);
      lock.lock();
      view_ = std::move(view);
      wake_pipe::ring();
      changed_.wait_until(lock, next, [this] { return ended_ || hurries_ || !actions_.empty(); });
    }
  }

  void act_next(std::unique_lock<std::mutex>& lock) {
    const auto wanted = std::move(actions_.front());
    actions_.pop_front();
    acts_ = true;
    lock.unlock();
    auto told = carry_out(wanted);
    lock.lock();
    acts_ = false;
    told_ = told_ ? *told_ + "; " + told : std::move(told);
  }

  std::string carry_out(const top_action& wanted) {
    const auto path =
        "/queue/" + encode_segment(wanted.model) + "/" + encode_segment(wanted.ticket);
    const auto answer = wanted.priority
                            ? client_.patch(path, json({{"priority", *wanted.priority}}).dump())
                            : client_.remove(path);
    if (!is_done(answer))
      return trouble_of(answer, client_.where());
    return wanted.priority ? "Ticket " + wanted.ticket + " has priority " +
                                 std::to_string(*wanted.priority) + " now"
                           : "Ticket " + wanted.ticket + " is cancelled";
  }

  top_view look(const std::string& model) {
    top_view view;
    view.clock = time_of_day();
    const auto all = client_.get("/queue?limit=0");
    view.groups = json::parse(all.body, nullptr, false);
    if (!all.is_good() || !part_of(view.groups, "queues").is_array()) {
      view.trouble = trouble_of(all, client_.where());
      return view;
    }
    const auto& groups = list_of(view.groups, "queues");
    std::string wanted = model;
    if (wanted.empty() && !groups.empty())
      wanted = text_of(groups[0], "model");
    if (wanted.empty())
      return view;
    const auto one = client_.get("/queue/" + encode_segment(wanted) +
                                 "?limit=" + std::to_string(top_screen::tickets_max));
    constexpr int not_found = 404; // a reload has removed it meanwhile
    if (one.is_good())
      view.group = json::parse(one.body, nullptr, false);
    else if (one.status != not_found)
      view.trouble = trouble_of(one, client_.where());
    return view;
  }

  admin_client client_;
  std::mutex mutex_; // guards what follows
  std::condition_variable changed_;
  std::string model_;
  std::deque<top_action> actions_;
  std::optional<top_view> view_;
  std::optional<std::string> told_; ///< of all actions that nobody has heard of
  bool acts_ = false;
  bool hurries_ = false;
  bool ended_ = false;
  std::thread thread_;
};

void press(top_screen& what, int code) {
  switch (code) {
  case KEY_UP:
    return what.press(key::up);
  case KEY_DOWN:
    return what.press(key::down);
  case KEY_PPAGE:
    return what.press(key::page_up);
  case KEY_NPAGE:
    return what.press(key::page_down);
  case KEY_HOME:
    return what.press(key::home);
  case KEY_END:
    return what.press(key::end);
  case '\t':
  case KEY_RIGHT:
    return what.press(key::next_model);
  case KEY_BTAB:
  case KEY_LEFT:
    return what.press(key::model_before);
  case '\r':
  case '\n':
  case KEY_ENTER:
    return what.press(key::enter);
  case 27:
    return what.press(key::escape);
  case KEY_BACKSPACE:
  case 127:
  case '\b':
    return what.press(key::erase);
  case KEY_RESIZE:
    return;
  default:
    if (code >= ' ' && code < 127)
      what.press(key::character, static_cast<char>(code));
    else
      what.press(key::other);
  }
}

/// The signal that ended it; 0: the operator did.
int watch(screen& shown, top_screen& what, watcher& asks, const wake_pipe& wakes) {
  while (!what.wants_to_quit()) {
    shown.draw(what);
    std::array<pollfd, 2> waits{pollfd{STDIN_FILENO, POLLIN, 0},
                                pollfd{wakes.reading_end(), POLLIN, 0}};
    static_cast<void>(::poll(waits.data(), waits.size(), -1)); // EINTR: the window has changed
    wakes.drain();
    if (signal_that_came != 0)
      return signal_that_came;
    if ((waits[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
      return SIGHUP;
    for (int code = getch(); code != ERR; code = ::getch()) {
      press(what, code);
      if (auto wanted = what.take_action())
        asks.act(std::move(*wanted));
    }
    if (auto heard = asks.take_view())
      what.show(std::move(*heard));
    if (auto told = asks.take_told())
      what.tell(std::move(*told));
    asks.look_at(what.model());
  }
  return 0;
}

/// Why there can be no screen; empty: there can.
std::string unfit(const command_context& context) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    return "it wants a terminal; `vorrang queue` prints the same once";
  if (!moves_cursor())
    return "the terminal '" + printable(context.variables("TERM").value_or("")) +
           "' (TERM) cannot move its cursor, or is not known here; `vorrang queue` prints the same "
           "once";
  return {};
}

} // namespace

int run_top(const admin_address& where, const std::optional<admin_key>& master_key,
            const command_context& context) {
  if (const auto why = unfit(context); !why.empty()) {
    context.errors << "vorrang top: " << why << "\n";
    return status_failed;
  }
  int came = 0;
  std::optional<std::string> told;
  {
    const wake_pipe wakes;
    top_screen what(where.text);
    const signal_watch signals;
    screen shown(context.is_coloured);
    watcher asks(where, master_key);
    came = watch(shown, what, asks, wakes);
    told = asks.finish();
  }
  if (told)
    context.out << printable(*told) << "\n" << std::flush;
  if (came == SIGTERM || came == SIGHUP || came == SIGQUIT) {
    ::signal(came, SIG_DFL);
    ::raise(came);
  }
  return 0;
}

} // namespace vorrang::terminal
