import type { CommandWords, OptionWords, ValueWords } from './words.js';

/** A zsh completion function, to be sourced or put into a directory of `fpath` as `_stopcopy`. */
export function zshScript(program: string, commands: readonly CommandWords[]): string {
  return `#compdef ${program}
_${program}() {
  local -a commands
  commands=(
${commands.map(({ name, description }) => `    '${name}:${description}'`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}
if [[ $funcstack[1] = _${program} ]]; then _${program} "$@"; else compdef _${program} ${program}; fi
`;
}

function commandCase({ name, options, argument }: CommandWords): string {
  const specs = [...options.flatMap(optionSpecs), `'*:argument:${action(argument)}'`];
  return `    ${name}) _arguments ${specs.join(' \\\n      ')} ;;`;
}

function optionSpecs({ flags, description, value }: OptionWords): string[] {
  const tail = value === null ? '' : `:value:${action(value)}`;
  return flags.map((flag) => `'*${flag}[${description}]${tail}'`);
}

function action({ files, words }: ValueWords): string {
  if (files) return '_files';
  return words.length > 0 ? `(${words.join(' ')})` : ' ';
}
