/*
 * completion: the script that makes a shell ask us. What there is to complete is in none of them: `reloaderctl --complete` says so, by
 * the table of commands, so that it fits the program that is installed.
 */
#include "reloaderctl/commands.h"

#include "base/strv.h"

#include <stdio.h>
#include <string.h>

/* A colon ends words in bash, so what stands before the last one is there already, and is cut off. */
static const char bash[] =
    "# bash completion for reloaderctl\n"
    "_reloaderctl() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} candidate current kept=\n"
    "    local -a words\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    current=${words[${#words[@]} - 1]}\n"
    "    [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && kept=${current%\"${current##*:}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r candidate _; do\n"
    "        if [[ $candidate == :file ]]; then\n"
    "            compopt -o default\n"
    "        else\n"
    "            COMPREPLY+=(\"${candidate#\"$kept\"}\")\n"
    "        fi\n"
    "    done < <(\"${words[0]}\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _reloaderctl reloaderctl\n";

static const char zsh[] =
    "#compdef reloaderctl\n"
    "_reloaderctl() {\n"
    "    local line\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == :file ]]; then\n"
    "            _files\n"
    "            return\n"
    "        fi\n"
    "        found+=(\"${${line%%$'\\t'*}//:/\\\\:}${${(M)line%%$'\\t'*}/$'\\t'/:}\")\n"
    "    done < <(\"${(Q)words[1]}\" --complete \"${(@Q)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    _describe reloaderctl found\n"
    "}\n"
    "if [[ ${funcstack[1]} == _reloaderctl ]]; then\n"
    "    _reloaderctl \"$@\"\n"
    "else\n"
    "    compdef _reloaderctl reloaderctl\n"
    "fi\n";

static const char fish[] = "# fish completion for reloaderctl\n"
                           "function __reloaderctl_complete\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    for line in ($words[1] --complete $words[2..-1] 2>/dev/null)\n"
                           "        if test \"$line\" = :file\n"
                           "            __fish_complete_path (commandline -ct)\n"
                           "        else\n"
                           "            echo $line\n"
                           "        end\n"
                           "    end\n"
                           "end\n"
                           "complete -c reloaderctl -f -a '(__reloaderctl_complete)'\n";

int command_completion(const struct invocation *invocation)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    char *const *arguments = invocation->arguments;
    for (size_t i = 0; strv_length(arguments) == 1 && i < ARRAY_SIZE(scripts); i++)
        if (strcmp(arguments[0], scripts[i].shell) == 0) {
            (void)fputs(scripts[i].script, stdout);
            return EXIT_CODE_OK;
        }
    complain("for which shell? bash, zsh or fish: `source <(reloaderctl completion bash)`");
    return EXIT_CODE_USAGE;
}
