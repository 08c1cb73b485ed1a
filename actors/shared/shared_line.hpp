// What one instance tells the shared line of a group, and what it makes of the replies.
#pragma once

#include "actors/group_queue.hpp"
#include "actors/shared/line_link.hpp"
#include "actors/snapshot.hpp"

#include <nlohmann/json_fwd.hpp>

namespace vorrang {

/// Which part of a line to show.
struct page_of_line {
  std::size_t offset = 0;
  std::size_t limit = 0;
};

/// Who shares a line: what the last reply said; a count of 0: there was none yet.
struct line_members {
  std::uint32_t count = 0;
  std::uint32_t rank = 0;
};

/// One group's line in Redis as this instance knows it. Keeps what the line was told of each ticket
/// and grant, so that it says only what has changed, and says everything again where it may have
/// been lost: after a call without a reply, and to a line that has begun anew.
///
/// One call at a time is out; what happens meanwhile gathers for the next. Passive: takes the time;
/// drives a group_queue, which must outlive it.
class shared_line {
public:
  /// `instance` names this process among all that share the line; no '/' and no ':' in it.
  /// `name_space` is the first part of every key.
  shared_line(group_queue& queue, std::string instance, const std::string& name_space);

  /// The channel on which the line tells this instance what others' calls have caused.
  std::string channel() const { return key_ + ":to:" + instance_; }

  // --- What happened here. Call collect() at the end of each turn, before next_call().

  /// An attempt is over, and the queue knows.
  void attempt_over(time_point now, deployment_index where, const attempt_result& result);
  /// A probe's 2xx head arrived.
  void head(grant_id grant);
  /// The queue granted by itself (mode `own`): the line has to know once it is back.
  void granted_here(time_point now, deployment_index where, const take& made);
  /// Takes the tickets that have changed from the queue.
  void collect();
  /// A reload: the queue follows other settings. Before collect().
  void settings_changed();
  /// Says that this instance is there, and asks for all figures.
  void renew() { renew_ = true; }
  /// A page of the line as it stands, over all instances, put into `view`, which is this instance's
  /// own; false if no answer came.
  void show(const page_of_line& wanted, queue_view view,
            std::function<void(bool, queue_view&)> shown);
  /// The operator moves a ticket of another instance, or (without a priority) ends it. False: none
  /// waits.
  void change_other(ticket_id ticket, std::optional<std::int32_t> priority,
                    std::function<void(bool)> done);

  /// What there is to say; nothing if a call is out, or there is nothing.
  std::optional<line_call> next_call();
  /// The last call, whose reply nobody waits for: what is still to be said, and that this instance
  /// goes. The line then counts on it no more, and gives back what it holds.
  line_call last_call();

  // --- What the line said. The queue's serve() follows.

  /// False: this is no reply of the script's.
  bool replied(time_point now, std::string_view text);
  /// There will be no reply to the call that is out; whether it was carried out is not known.
  void lost();
  /// What came on channel().
  void noted(time_point now, std::string_view text);

  /// Tells everything again. The queue grants nothing until that has arrived.
  void announce(time_point now);
  /// The line knows all that this instance knows.
  bool is_current() const noexcept { return stage_ == stage::current; }
  /// A call is out.
  bool is_out() const noexcept { return is_out_; }
  /// Attempts run that the line knows of.
  bool is_running() const noexcept { return !running_.empty(); }
  /// Nothing was announced since the last loss.
  bool is_away() const noexcept { return stage_ == stage::away; }
  /// When to call again if nothing else happens; `never` before the first reply.
  time_point next_look() const noexcept { return next_look_; }
  const line_members& members() const noexcept { return members_; }
  std::uint64_t inversions() const noexcept { return inversions_; }
  std::uint64_t overruns() const noexcept { return overruns_; }
  /// Others have other settings for these deployments; the lowest limits hold.
  bool settings_differ() const noexcept { return settings_differ_; }
  /// A new line waits for those who knew the old one.
  bool is_opening() const noexcept { return opening_; }

private:
  struct told {
    std::string arrival; ///< empty until the line has said it
    deployment_set eligible;
    std::int32_t priority = 0;
    bool away = false; ///< granted, as the line knows it
  };
  struct running {
    std::string name;
    ticket_id ticket;
    deployment_index where;
    std::uint32_t tokens;
    time_point at;
    std::uint64_t use; ///< its entry in used_
  };
  /// What a grant of the last 60 s has used.
  struct usage {
    time_point at;
    std::string name;
    deployment_index where;
    std::uint64_t tokens;
    bool counts;
  };
  enum class verb : std::uint8_t { other, offer, cancel, settle, confirm, mine, ready, ask };
  struct operation {
    verb what = verb::other;
    ticket_id ticket = 0;
    std::string grant;
    std::string text;
    std::function<void(const nlohmann::json*)> answered;
  };

  void ask(const nlohmann::json& operation, std::function<void(const nlohmann::json*)> answered);
  void say(verb what, const nlohmann::json& text, ticket_id ticket = 0, std::string grant = {});
  void offer(ticket_id ticket, const group_queue::ticket_standing& how, told& record);
  void give_back(const std::string& grant);
  void put_eligible(nlohmann::json& into, const deployment_set& eligible) const;
  void put_page(const nlohmann::json& page, queue_view& view) const;
  void tell_head(ticket_report& head, const std::optional<group_queue::waiting_ticket>& own,
                 time_point now) const;
  void take_reply(time_point now, const nlohmann::json& said);
  void take_note(time_point now, const nlohmann::json& said);
  void granted(time_point now, const nlohmann::json& what);
  void refused(time_point now, const nlohmann::json& what);
  void heard(time_point now, const operation& said, const nlohmann::json& result);
  void set_rooms(time_point now, const nlohmann::json& rooms);
  time_point local_time(time_point now, std::int64_t server_time) const;
  std::int64_t server_time(time_point at) const;
  std::uint64_t remember_use(time_point now, deployment_index where, const std::string& name,
                             std::uint64_t tokens);
  std::string arrival_of(const told& record, const std::optional<group_queue::ticket_standing>& how,
                         time_point now) const;

  group_queue& queue_;
  std::string instance_;
  std::string key_;
  std::string settings_;
  std::string digest_;
  std::string epoch_;
  std::uint64_t seq_ = 0;
  line_members members_;
  std::uint32_t members_max_ = 0;

  boost::unordered_flat_map<ticket_id, told> told_;
  boost::unordered_flat_map<grant_id, running> running_;
  boost::unordered_flat_map<std::string, grant_id> by_name_;
  std::deque<usage> used_;
  std::uint64_t first_use_ = 1;
  std::deque<operation> waiting_;
  std::vector<operation> out_;
  bool is_out_ = false;
  bool renew_ = false;
  enum class stage : std::uint8_t { away, announcing, current };
  stage stage_ = stage::away;
  bool settings_differ_ = false;
  bool opening_ = false;
  bool said_ready_ = false; ///< to the line that opens
  time_point next_look_ = never;
  /// The server's clock and ours at the last reply.
  std::int64_t server_now_ = 0;
  time_point local_now_{};
  std::uint64_t inversions_ = 0;
  std::uint64_t overruns_ = 0;
};

} // namespace vorrang
