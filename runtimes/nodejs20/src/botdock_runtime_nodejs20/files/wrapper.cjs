// Runs a Node.js bot: calls its script's main(id, config, {signal}), and writes what that resolves to into the result
// file. It is the same for every bot, is told the folder of context.json, and prints nothing of its own. What can be
// done before the bot is known comes first: where a FIFO named `ready` lies there, it waits for it.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Writable } = require('node:stream');
const { watchPrograms } = require('./botdock-output.cjs');
const { Result } = require('./botdock-result.cjs');
const { isProgram } = require('./botdock-script.cjs');

const GENERATORS = ['Generator', 'AsyncGenerator'];
const SIGNALS = { SIGINT: 130, SIGTERM: 143 };
const SIGNAL_BASE = 128; // of the exit codes of such ends
const LONGEST = 2 ** 31 - 1; // milliseconds that a timer of Node's can have
const SAMPLE = `const x = require('x'); // what most scripts have
function f() {}
exports.main = async (id) => {
  await (1);
};
module.exports = { main: f };
`;
const CLASS = /^class\b/; // how the text of one begins
const UNSETTLED = 13; // what Node itself exits with when a promise that it waits for can never settle

// What a signal does. The bot's own handlers run, and then it is theirs to end the bot; so it is `main`'s, once it has
// looked at the signal that it was given. With neither, the process exits, and its 'exit' handlers run.
class Termination {
  #controller;

  constructor() {
    this.exitCode = undefined; // of an end that a signal has begun
    this.signal = 0; // the number of the one for which the bot ends
    this.failed = false; // whether `main` rejected after that, for a reason of its own
    for (const name of Object.keys(SIGNALS)) process.on(name, () => this.#receive(name));
  }

  // The third argument of `main`; with a getter, so that we know whether the bot uses it.
  get argument() {
    const termination = this;
    return {
      get signal() {
        termination.#controller ??= termination.#expectAbort();
        return termination.#controller.signal;
      },
    };
  }

  // A bot that waits for nothing but the abort is not over: something must keep the process until `main` settles.
  #expectAbort() {
    setInterval(() => {}, LONGEST);
    return new AbortController();
  }

  #receive(name) {
    if (this.exitCode !== undefined) return; // a second signal does not disturb it
    this.exitCode = SIGNALS[name];
    this.#controller?.abort();
    if (!this.#controller && process.listenerCount(name) === 1) this.end();
  }

  // End for the signal, and not of the bot's own accord.
  end() {
    this.signal = this.exitCode - SIGNAL_BASE;
    process.exit(this.exitCode);
  }

  // Whether an error only says that the bot was told to end.
  explains(error) {
    return error?.name === 'AbortError' || (error !== undefined && error === this.#controller?.signal.reason);
  }
}

// Do beforehand what is slow at first: V8 compiles a pattern when it is used first, and once more, for good, when it is
// used again; and all that a line goes through. Nothing is printed.
function warmUp() {
  for (let times = 0; times < 2; times += 1) isProgram(SAMPLE);
  new console.Console(new Writable({ write() {} })).log('');
}

function waitUntilReady(folder) {
  const ready = path.join(folder, 'ready');
  if (!fs.statSync(ready, { throwIfNoEntry: false })?.isFIFO()) return;
  warmUp();
  fs.readFileSync(ready);
  if (!fs.existsSync(path.join(folder, 'context.json'))) process.exit(125); // nothing is to run after all
  const secrets = path.join(folder, 'secrets');
  if (fs.statSync(secrets, { throwIfNoEntry: false })?.isFile()) keepSecrets(folder, fs.readFileSync(secrets, 'utf8'));
}

// Write each secret into the folder in memory that is for them, as entrypoint.sh does where they come in time.
function keepSecrets(folder, listed) {
  const [place, ...names] = listed.trimEnd().split('\n');
  const { environment } = JSON.parse(fs.readFileSync(path.join(folder, 'context.json'), 'utf8'));
  try {
    for (const name of names) fs.writeFileSync(path.join(place, name), environment[name], { mode: 0o400 });
  } catch {
    fs.writeSync(2, 'botdock: the secrets cannot be written to the folder in memory that is for them\n');
    process.exit(126);
  }
}

// Take on the bot's environment and folder, and return the path of its script.
function enter(context) {
  for (const [name, value] of Object.entries(context.environment)) process.env[name] = value;
  process.env.PYTHONUNBUFFERED ??= '1'; // for programs that the bot starts: their lines are out at once
  watchPrograms();
  process.chdir(context.code_dir);
  return require.resolve(path.join(context.code_dir, context.script));
}

// Run a script as Node runs a program: nothing here catches its errors, or waits for it.
function runProgram(script, result) {
  result.isAwaited = false;
  process.argv.splice(1, Infinity, script);
  process.nextTick(require('node:module').runMain);
}

// The type of the package that a folder belongs to, as Node looks it up: in the nearest package.json.
function packageType(folder) {
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '')).type;
  return folder === path.dirname(folder) ? undefined : packageType(path.dirname(folder));
}

function isModule(script) {
  const suffix = path.extname(script);
  return suffix === '.mjs' || (suffix === '.js' && packageType(path.dirname(script)) === 'module');
}

// ES modules are imported; all else is required, as the old runner did, so that `module.parent` is set. A script that
// turns out to be an ES module which awaits at its top level is imported, too. One with a backslash in its path can only
// be required: Node refuses to import it.
async function load(script) {
  if (!isModule(script) || script.includes('\\')) {
    try {
      return require(script);
    } catch (error) {
      if (error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    }
  }
  return import(require('node:url').pathToFileURL(script).href);
}

// Return `main`, as a method of the object that the script exports it in; nothing where no function is exported at all:
// then the script was a program, and has run.
function findMain(exported, script) {
  const owners = [[exported, 'main'], [exported, 'default'], [exported?.default, 'main']];
  const found = owners.find(([owner, name]) => typeof owner?.[name] === 'function');
  if (found) return found[0][found[1]].bind(found[0]);
  const isClass = [exported, exported?.default].some((each) => typeof each === 'function' && CLASS.test(each));
  if (isClass) throw new TypeError(`${script} exports a class; it needs to export an instance, \`new …\`, or a main`);
  if (typeof exported === 'function') return exported;
  if (!Object.values(exported ?? {}).some((each) => typeof each === 'function')) return undefined;
  throw new TypeError(`${script} exports no function: neither main, nor default, nor the module itself`);
}

// Leave the frames of this file out of what is shown of an error and its causes.
function hide(error) {
  const foreign = (line) => !(/^\s*(at|-) /.test(line) && line.includes(__filename));
  try {
    for (let each = error, depth = 0; each instanceof Error && depth < 10; each = each.cause, depth += 1) {
      each.stack = each.stack.split('\n').filter(foreign).join('\n');
      if (Array.isArray(each.requireStack)) each.requireStack = each.requireStack.filter((file) => file !== __filename);
    }
  } catch {
    // Its stack is no text, or cannot be changed: then it is shown as it is.
  }
}

// Let Node itself show an error and end, as if nothing stood between it and the bot. The bot is over: none of its
// handlers is asked.
function crash(error) {
  hide(error);
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
  Promise.reject(error);
  setImmediate(() => process.exit(1)); // where NODE_OPTIONS lets rejections pass
}

// Run the bot, and end as it ends. Whoever calls process.exit, the result is written by the handler of 'exit'.
async function run(context, result, termination, record) {
  let value;
  try {
    const script = enter(context);
    if (isProgram(fs.readFileSync(script, 'utf8'))) return runProgram(script, result);
    process.argv.splice(1, Infinity, `${path.dirname(script)}/.`); // not the script: it is not the program that runs
    const main = findMain(await load(script), context.script);
    result.isAwaited = main !== undefined;
    if (!result.isAwaited) return undefined;
    value = await main(context.id, context.config, termination.argument);
    if (GENERATORS.includes(value?.[Symbol.toStringTag])) {
      throw new TypeError('main returned a generator, of which nothing has run: is it a function*?');
    }
  } catch (error) {
    termination.failed = termination.exitCode !== undefined;
    if (termination.failed && termination.explains(error)) termination.end();
    result.fail(error);
    return crash(error);
  }
  if (result.take(value)) process.exitCode ||= 1;
  if (!process.listeners('exit').includes(record)) process.on('exit', record); // the bot has removed all of them
  process.exit();
}

// Record how the process ends; return what does so at the exit. An empty event loop is the end of a bot whose `main` has
// not settled: then it never will.
function watch(result, termination) {
  let idle = false;
  process.on('beforeExit', () => (idle = true));
  const record = (code) => {
    if (idle && result.isAwaited && code === 0) process.exitCode = UNSETTLED;
    if (termination.failed) process.exitCode = termination.exitCode;
    const ours = (process.exitCode ?? code) & 0xff;
    const written = result.write(ours, termination.signal);
    if (written !== ours) process.exitCode = written;
  };
  process.on('exit', record);
  process.on('uncaughtExceptionMonitor', (error) => {
    const survives = process.listenerCount('uncaughtException') || process.hasUncaughtExceptionCaptureCallback();
    if (survives) return;
    result.fail(error);
    hide(error);
  });
  process.on('SIGXFSZ', () => {}); // a file that grows past its limit is an error like any other, not the end
  return record;
}

const folder = process.argv[2];
waitUntilReady(folder);
const termination = new Termination();
const context = JSON.parse(fs.readFileSync(path.join(folder, 'context.json'), 'utf8'));
const result = new Result(context);
run(context, result, termination, watch(result, termination));
