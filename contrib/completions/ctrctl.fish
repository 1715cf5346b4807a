# fish completion for ctrctl. File names are completed where ctrctl has nothing to offer.
function __ctrctl_words
    set -l words (commandline -opc) (commandline -ct)
    set -l found (ctrctl completion words -- $words[2..] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c ctrctl -f -a '(__ctrctl_words)'
