import { Command } from 'commander';
import { addCompletion } from './commands/completion.js';
import { addConvert } from './commands/convert.js';
import { addDemo } from './commands/demo.js';
import { addDescribe } from './commands/describe.js';
import { addDocument } from './commands/document.js';
import { addExplain } from './commands/explain.js';
import { addExplore } from './commands/explore.js';
import { addGenerate } from './commands/generate.js';
import { addInspect } from './commands/inspect.js';
import { addLearn } from './commands/learn.js';
import { addMigrate } from './commands/migrate.js';
import { addProxy } from './commands/proxy.js';
import { addRecord } from './commands/record.js';
import { addServe } from './commands/serve.js';
import { addTest } from './commands/test.js';
import { addValidate } from './commands/validate.js';
import { packageVersion } from './package.js';

const EXIT_CODES = `
Exit codes:
  0  conformant, or done
  1  violations were found
  2  bad usage, or unreadable input
  3  inconclusive: nothing relevant was seen, or too little of it`;

const EXAMPLES = `
Examples:
  stopcopy validate src.log dst.log       judge a migration by the logs of both hosts
  stopcopy explain                        list the rules
  stopcopy describe vfio-device           print the device's state machine
  stopcopy record --print                 print the bpftrace program that records a process
  stopcopy test --target mock:e810-vf     make a test suite, run it on a device, and judge it
  stopcopy migrate --vfs 2                migrate a mock VM with two E810 VFs, between two processes`;

/** The command line: every command with its options. What a command does is loaded when it runs. */
export function makeProgram(): Command {
  const program = new Command('stopcopy')
    .description(
      "Judges VFIO device migrations and tests live devices by the protocol's state machines and rules.",
    )
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ helpWidth: 100 })
    .addHelpText('after', EXAMPLES + EXIT_CODES.replace('\n', '\n\n'));
  for (const add of [
    addValidate,
    addDescribe,
    addExplain,
    addRecord,
    addConvert,
    addInspect,
    addGenerate,
    addTest,
    addMigrate,
    addServe,
    addProxy,
    addExplore,
    addLearn,
    addDocument,
    addDemo,
    addCompletion,
  ]) {
    add(program);
  }
  return program;
}
