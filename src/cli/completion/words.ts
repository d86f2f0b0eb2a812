import type { Command, Option } from 'commander';

/** What can stand after a command or an option: files, or one of a list of words, or something free. */
export interface ValueWords {
  readonly files: boolean;
  readonly words: readonly string[];
}

export interface OptionWords {
  /** `-o`, `--output`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** null: the option takes no value. */
  readonly value: ValueWords | null;
}

export interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionWords[];
  readonly argument: ValueWords;
}

/**
 * The commands of a program with all that can be completed. `known` has the words for arguments and
 * options whose values the program tree does not list.
 */
export function commandWords(
  program: Command,
  known: Readonly<Record<string, readonly string[]>>,
): CommandWords[] {
  const help = program.createHelp();
  return help.visibleCommands(program).map((command) => {
    const argument = command.registeredArguments[0];
    const name = argument?.name() ?? '';
    const names = help.visibleCommands(program).map((each) => each.name());
    const words = argument?.argChoices ?? known[name] ?? (name === 'command' ? names : []);
    return {
      name: command.name(),
      description: sentence(command.description()),
      options: help.visibleOptions(command).map((option) => optionWords(option, known)),
      argument: { files: name === 'file', words },
    };
  });
}

function optionWords(option: Option, known: Readonly<Record<string, readonly string[]>>): OptionWords {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const words = option.argChoices ?? known[option.long ?? ''] ?? [];
  const takesValue = option.required || option.optional;
  return {
    flags,
    description: sentence(option.description),
    value: takesValue ? { files: option.flags.includes('<file>'), words } : null,
  };
}

/** One line without the characters that shells and zsh specs give a meaning to. */
function sentence(text: string): string {
  return text.replace(/[^\w .,;=/()+-]/g, '').trim();
}
