# fish completion for vorrang
set -l commands top queue bump cancel why reload check init
set -l none "not __fish_seen_subcommand_from $commands"

# Models that the gateway has, if it answers at once.
function __vorrang_models
    timeout 1 vorrang queue --json --limit 0 2>/dev/null | string match -ra '"model":"[^"]*"' \
        | string replace -r '"model":"(.*)"' '$1' | string match -r '^[A-Za-z0-9._/:@*-]+$'
end

complete -c vorrang -f
complete -c vorrang -n __fish_use_subcommand -a top -d 'Queues and deployments live'
complete -c vorrang -n __fish_use_subcommand -a queue -d 'Who waits, in order'
complete -c vorrang -n __fish_use_subcommand -a bump -d 'Give a waiting ticket another priority'
complete -c vorrang -n __fish_use_subcommand -a cancel -d 'End a waiting ticket'
complete -c vorrang -n __fish_use_subcommand -a why -d 'The story of a request so far'
complete -c vorrang -n __fish_use_subcommand -a reload -d 'Read the configuration again'
complete -c vorrang -n __fish_use_subcommand -a check -d 'What a configuration means'
complete -c vorrang -n __fish_use_subcommand -a init -d 'Write a configuration to begin with'

complete -c vorrang -n $none -s c -l config -r -F -d 'Configuration'
complete -c vorrang -n $none -l host -x -d 'Address to listen on'
complete -c vorrang -n $none -l port -x -d 'Port to listen on'
complete -c vorrang -n $none -l threads -x -d Loops
complete -c vorrang -n $none -l num_workers -x -d Loops
complete -c vorrang -n $none -l log-level -x -a 'debug info warning error' -d 'What is logged'
complete -c vorrang -n $none -l log-format -x -a 'text json' -d 'How it is logged'
complete -c vorrang -n $none -l access-log -F -d 'A line for each request'
complete -c vorrang -n $none -l debug -d 'Log everything'
complete -c vorrang -n $none -l detailed_debug -d 'Log everything'
complete -c vorrang -n $none -l request_timeout -x -d 'Seconds a request may take'
complete -c vorrang -n $none -l ssl_certfile_path -r -F -d 'Certificate of the gateway'
complete -c vorrang -n $none -l ssl_keyfile_path -r -F -d 'Its key'
complete -c vorrang -n $none -l check-config -d 'Say what the configuration means'
complete -c vorrang -n $none -s v -l version -d 'The version'

complete -c vorrang -s h -l help -d 'All options'
complete -c vorrang -n '__fish_seen_subcommand_from top queue bump cancel why reload' -l url -x -d 'The admin port'
complete -c vorrang -n '__fish_seen_subcommand_from queue why' -l json -d 'What the admin port says'
complete -c vorrang -n '__fish_seen_subcommand_from queue' -l limit -x -d 'Tickets of a model at most'
complete -c vorrang -n '__fish_seen_subcommand_from queue' -l offset -x -d 'Tickets to leave out before'
complete -c vorrang -n '__fish_seen_subcommand_from init' -l force -d 'Replace a file that is there'
complete -c vorrang -n '__fish_seen_subcommand_from check init' -F
complete -c vorrang -n '__fish_seen_subcommand_from queue bump cancel' -a '(__vorrang_models)'
