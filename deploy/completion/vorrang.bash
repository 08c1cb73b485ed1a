# bash completion for vorrang

# Only these are names of files: a folder `queue` makes no `queue/` of a command.
_vorrang_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

_vorrang() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]-} words=
  COMPREPLY=()
  case $before in
  -c | --config | --access-log | --ssl_certfile_path | --ssl_keyfile_path)
    _vorrang_files
    return
    ;;
  --log-level)
    mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current")
    return
    ;;
  --log-format)
    mapfile -t COMPREPLY < <(compgen -W "text json" -- "$current")
    return
    ;;
  --host | --port | --threads | --num_workers | --request_timeout | --url | --limit | --offset)
    return
    ;;
  esac
  if [[ $COMP_CWORD -eq 1 ]]; then
    words="top queue bump cancel why reload check init"
  fi
  case $command in
  top | reload | bump | cancel) words="--url --help" ;;
  queue) words="--json --limit --offset --url --help" ;;
  why) words="--json --url --help" ;;
  check) words="--help" ;;
  init) words="--force --help" ;;
  *)
    words+=" -c --config --host --port --threads --num_workers --log-level --log-format --access-log --debug --detailed_debug
      --request_timeout --ssl_certfile_path --ssl_keyfile_path --check-config -v --version -h --help"
    ;;
  esac
  if [[ $COMP_CWORD -gt 1 && ($command == check || $command == init) && $current != -* ]]; then
    _vorrang_files
    return
  fi
  # A model: what the gateway has, if it answers at once.
  if [[ $COMP_CWORD -eq 2 && $command =~ ^(queue|bump|cancel)$ && $current != -* ]]; then
    words=$(timeout 1 vorrang queue --json --limit 0 2>/dev/null |
      grep -o '"model":"[^"]*"' | cut -d '"' -f 4 | grep -E '^[A-Za-z0-9._/:@*-]+$')
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _vorrang vorrang
