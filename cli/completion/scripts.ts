/**
 * The script that a shell reads once. It asks `slipway completion` again for each word: a line is a word, a tab and its meaning;
 * the line `:files` stands for names of files.
 */
export const SCRIPTS = {
  bash: `# slipway completion bash > /etc/bash_completion.d/slipway, or: source <(slipway completion bash)
_slipway() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = :files ]; then
      compopt -o filenames 2> /dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    else
      COMPREPLY+=("\${line%%$'\\t'*}")
    fi
  done < <(slipway completion bash --complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -F _slipway slipway
`,
  zsh: `#compdef slipway
# slipway completion zsh > a folder of $fpath, as _slipway; or after compinit: source <(slipway completion zsh)
_slipway() {
  local -a items
  local line files=0
  for line in "\${(@f)$(slipway completion zsh --complete -- "\${(@)words[2,CURRENT]}" 2> /dev/null)}"; do
    if [[ $line == :files ]]; then
      files=1
    elif [[ -n $line ]]; then
      items+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( $#items )) && _describe slipway items
  (( files )) && _files
  (( $#items || files ))
}
if [ "$funcstack[1]" = _slipway ]; then _slipway "$@"; else compdef _slipway slipway; fi
`,
  fish: `# slipway completion fish > ~/.config/fish/completions/slipway.fish
function __slipway_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    for line in (slipway completion fish --complete -- $words "$current" 2> /dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c slipway -f -a '(__slipway_complete)'
`,
} as const;

export type Shell = keyof typeof SCRIPTS;
export const SHELLS = Object.keys(SCRIPTS) as Shell[];
